// alchemist-gpu-check: does this machine's GPU keep the promises that the CUDA backend relies on?
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/logging.h"
#include "tools/daemons/work_directory.h"
#include "tools/gpu_check/agent.h"
#include "tools/gpu_check/agent_calls.h"
#include "tools/gpu_check/catalogue.h"
#include "tools/gpu_check/check_run.h"
#include "tools/gpu_check/checks.h"
#include "tools/gpu_check/exit_code.h"
#include "tools/gpu_check/form.h"
#include "tools/gpu_check/machine.h"
#include "tools/gpu_check/report.h"
#include "tools/gpu_check/show.h"
#include "tools/gpu_check/stop.h"

ABSL_FLAG(std::string, form, "short",
          "How much of it: short (at most 3 minutes), long (15), or tiny (a program's own test).");
ABSL_FLAG(std::string, only, "",
          "Ask only these: groups or ids, separated by commas; --list names them.");
ABSL_FLAG(std::string, json, "", "Write the report into this file too.");
ABSL_FLAG(std::string, device, "", "The GPU's UUID, as nvidia-smi -L prints it; empty: the first.");
ABSL_FLAG(bool, dry_run, false, "Check the arguments, open the GPU, say what it is, ask nothing.");
ABSL_FLAG(bool, list, false, "Print every question, and ask none.");
ABSL_FLAG(std::string, show, "", "Print the report in this file, and ask nothing.");
ABSL_FLAG(std::string, driver_library, "", "The driver's library; empty: libcuda.so.1.");
ABSL_FLAG(std::string, nvml_library, "", "NVML's library; empty: libnvidia-ml.so.1.");
ABSL_FLAG(std::string, library_directories, "",
          "Where cuBLASLt and cuDNN are looked for first, separated by colons.");
ABSL_FLAG(bool, agent, false, "Internal: be one of the processes that an experiment starts.");
ABSL_FLAG(int64_t, agent_user, -1, "Internal: the user that an agent becomes; -1: stay.");

namespace alchemist {
namespace {

constexpr char kUsage[] =
    R"(Asks this machine's GPU whether it does what Alchemist's CUDA backend relies on, and how
fast it is. Prints a table; --json=FILE keeps it for docs/gpu.md.

  alchemist-gpu-check [--form=short|long] [--only=GROUP,ID...] [--json=FILE] [--dry_run]
  alchemist-gpu-check --list
  alchemist-gpu-check --show=FILE

It changes no setting of the GPU, takes at most half of what is free of its memory, and ends the
processes that it started, and no others. Some experiments kill such a process, or have it make an
illegal access, while others use the GPU: run it on a machine that does nothing else.

Exit status: 0 everything was asked and nothing failed; 1 bad arguments, or the report could not be
written; 2 a check failed, or the device broke before any could run; 3 there is no GPU to ask, no
driver for it or no room on it; 4 nothing failed, but something was not run; 130, 143 or 129 when
stopped by a signal, with what was found until then reported.)";

std::vector<std::string> LibraryDirectories() {
  return absl::StrSplit(absl::GetFlag(FLAGS_library_directories), ':', absl::SkipEmpty());
}

int BeAgent() {
  AgentOptions options;
  options.device = {.uuid = absl::GetFlag(FLAGS_device),
                    .driver_library = absl::GetFlag(FLAGS_driver_library)};
  options.library_directories = LibraryDirectories();
  const int64_t user = absl::GetFlag(FLAGS_agent_user);
  if (user >= 0) options.user = static_cast<uint32_t>(user);
  return RunAgent(Process::kInheritedFd, options, AllAgentCalls());
}

int List() {
  for (const CheckInfo& info : Catalogue()) std::cout << info.id << "  " << info.question << "\n";
  return kExitPassed;
}

int Show(const std::string& path) {
  const absl::StatusOr<std::string> text = ShowReport(path);
  if (!text.ok()) {
    std::cerr << "alchemist-gpu-check: " << text.status().message() << "\n";
    return kExitBadArguments;
  }
  std::cout << *text;
  return kExitPassed;
}

// This program again.
std::vector<std::string> AgentCommand() {
  return {"/proc/self/exe", absl::StrCat("--driver_library=", absl::GetFlag(FLAGS_driver_library)),
          absl::StrCat("--library_directories=", absl::GetFlag(FLAGS_library_directories))};
}

// The first process that opens the device: what it says of it decides how much is asked.
absl::StatusOr<std::unique_ptr<AgentProcess>> OpenDevice(const std::string& log_directory) {
  std::vector<std::string> command = AgentCommand();
  command.push_back("--agent");
  command.push_back(absl::StrCat("--device=", absl::GetFlag(FLAGS_device)));
  return AgentProcess::Start({.name = "quiet",
                              .command = std::move(command),
                              .environment = {{"CUDA_MPS_PIPE_DIRECTORY", log_directory}},
                              .log_path = log_directory + "/gpu.log"});
}

absl::Status WriteJson(const GpuReport& report) {
  const std::string json = absl::GetFlag(FLAGS_json);
  if (json.empty()) return absl::OkStatus();
  return ReplaceFile(json, ReportJson(report));
}

// The JSON is there after each answer: a run that is killed loses only the next one.
GpuReport Ask(const std::vector<const CheckInfo*>& selected, const Form& form,
              std::unique_ptr<AgentProcess> device, const std::string& log_directory,
              const std::string& command) {
  const int64_t start_us = Clock::Real()->MonotonicUs();
  const AgentMessage hello = {.values = device->hello().values};
  CheckRun run({.agent_command = AgentCommand(),
                .uuid = hello.Text("uuid"),
                .nvml_library = absl::GetFlag(FLAGS_nvml_library),
                .log_directory = log_directory,
                .form = form,
                .quiet_agent = std::move(device)});
  GpuReport report;
  report.date = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
  report.form = form.name;
  report.command = command;
  report.machine = DescribeGpuMachine(hello, run.nvml());
  report.planned = static_cast<int64_t>(selected.size());
  RunChecks(run, selected, AllChecks(), [&](const std::vector<CheckResult>& results) {
    report.results = results;
    report.seconds = static_cast<double>(Clock::Real()->MonotonicUs() - start_us) / 1e6;
    std::cerr << absl::StrFormat("[%d/%d] %s: %s (%.1f s)", results.size(), selected.size(),
                                 results.back().id, VerdictWord(results.back().verdict),
                                 results.back().seconds)
              << std::endl;
    const absl::Status written = WriteJson(report);
    if (!written.ok()) LOG(ERROR) << "--json: " << written.message();
  });
  return report;
}

// So that a slip of the keyboard shows before minutes have passed.
absl::Status CheckWritable(const std::string& json) {
  if (json.empty()) return absl::OkStatus();
  const std::filesystem::path folder = std::filesystem::absolute(json).parent_path();
  if (access(folder.c_str(), W_OK) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--json: ", ErrnoStatus("access", folder.string()).message()));
}

int Refuse(const absl::Status& status, int exit_code) {
  std::cerr << "alchemist-gpu-check: " << status.message() << "\n";
  return exit_code;
}

// The exit code where the device could not be opened.
int RefuseDevice(const absl::Status& status) {
  if (StopRequested()) return 128 + StopSignal();
  const absl::string_view why = absl::StripPrefix(status.message(), "quiet, start: ");
  const bool is_none = absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
  return Refuse(absl::Status(status.code(), absl::StrCat("no GPU can be asked: ", why)),
                is_none ? kExitNoGpu : kExitFailed);
}

int AskAll(const std::vector<const CheckInfo*>& selected, const std::string& form_name,
           const std::string& command) {
  const auto directory = WorkDirectory::Create("alchemist-gpu-check");
  if (!directory.ok()) return Refuse(directory.status(), kExitBadArguments);
  auto device = OpenDevice(directory->path());
  if (!device.ok()) return RefuseDevice(device.status());
  const AgentMessage& hello = (*device)->hello();
  if (hello.Bool("is_mps_client")) {
    return RefuseDevice(absl::FailedPreconditionError(
        "the driver uses an MPS daemon of the machine's; it must be ended first"));
  }
  const int64_t bytes_free = hello.Integer("bytes_free");
  const Form form = *FormNamed(form_name, bytes_free);
  if (bytes_free < form.bytes_free_min) {
    return RefuseDevice(absl::FailedPreconditionError(
        absl::StrCat("it has ", bytes_free >> 20, " MiB of memory free; the ", form.name,
                     " form needs ", form.bytes_free_min >> 20)));
  }
  if (absl::GetFlag(FLAGS_dry_run)) {
    std::cout << hello.Text("name") << ", " << hello.Text("uuid") << ": " << selected.size()
              << " questions would be asked\n";
    return kExitPassed;
  }
  const GpuReport report = Ask(selected, form, *std::move(device), directory->path(), command);
  std::cout << TableText(report);
  if (StopRequested()) return 128 + StopSignal();
  const absl::Status written = WriteJson(report);
  const int exit_code = ExitCodeOf(report);
  return written.ok() ? exit_code : Refuse(written, std::max(exit_code, kExitBadArguments));
}

int Run(const std::string& command) {
  const auto selected = Select(absl::GetFlag(FLAGS_only));
  if (!selected.ok()) return Refuse(selected.status(), kExitBadArguments);
  const std::string form_name = absl::GetFlag(FLAGS_form);
  if (!FormNamed(form_name, 0).has_value()) {
    return Refuse(absl::InvalidArgumentError(
                      absl::StrCat("--form: '", form_name, "' is not short, long or tiny")),
                  kExitBadArguments);
  }
  const absl::Status writable = CheckWritable(absl::GetFlag(FLAGS_json));
  if (!writable.ok()) return Refuse(writable, kExitBadArguments);
  HandleStopSignals();
  return AskAll(*selected, form_name, command);
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) {
  const std::string command = absl::StrJoin(argv, argv + argc, " ");
  alchemist::ParseFlags(argc, argv, alchemist::kUsage);
  if (absl::GetFlag(FLAGS_agent)) return alchemist::BeAgent();
  if (absl::GetFlag(FLAGS_list)) return alchemist::List();
  const std::string show = absl::GetFlag(FLAGS_show);
  return show.empty() ? alchemist::Run(command) : alchemist::Show(show);
}
