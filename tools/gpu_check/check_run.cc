#include "tools/gpu_check/check_run.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/logging.h"
#include "tools/gpu_check/stop.h"

namespace alchemist {
namespace {

constexpr int64_t kAnswerUs = 30'000'000;  // What a request may take; the first loads libraries.
constexpr int64_t kSecondUs = 1'000'000;

int64_t NowUs() { return Clock::Real()->MonotonicUs(); }

// Why nothing counts any more; empty while it does.
std::string CutOffText(const CheckRun& run) {
  if (StopRequested()) return "stopped by a signal";
  if (run.UsLeft() > 0) return "";
  return absl::StrCat("out of time: the ", run.form().name, " form has ", run.form().seconds_max,
                      " s");
}

void Fail(const absl::Status& status, CheckResult& result) {
  result.verdict = CheckVerdict::kFail;
  absl::StrAppend(&result.happened, result.happened.empty() ? "" : " Then: ", status.message());
  if (!IsDriversAnswer(status)) {
    result.consequence = "not known: the experiment itself broke down";
  } else if (result.consequence.empty()) {
    result.consequence = GroupOf(result.id) == "sharing"
                             ? "the design relies on this: the CUDA backend must not run here"
                             : "not known: the driver refused a part of the experiment";
  }
}

CheckResult RunCheck(CheckRun& run, const CheckInfo& info, const CheckFunctions& functions) {
  const auto function = functions.find(info.id);
  CHECK(function != functions.end()) << info.id;
  const int64_t start_us = NowUs();
  CheckResult result;
  result.id = std::string(info.id);
  result.question = std::string(info.question);
  std::string cut_off = CutOffText(run);
  if (cut_off.empty()) {
    const absl::Status status = function->second(run, result);
    if (!status.ok()) {
      Fail(status, result);
      run.DropQuietAgent();
    }
    cut_off = CutOffText(run);
  }
  if (!cut_off.empty()) {
    result.verdict = CheckVerdict::kNotRun;
    result.happened = cut_off;
    result.consequence.clear();
    result.measurements.clear();
  }
  result.seconds = static_cast<double>(NowUs() - start_us) / 1e6;
  return result;
}

}  // namespace

CheckRun::CheckRun(Options options)
    : options_(std::move(options)),
      deadline_us_(NowUs() + options_.form.seconds_max * kSecondUs),
      quiet_agent_(std::move(options_.quiet_agent)) {
  absl::StatusOr<std::unique_ptr<Nvml>> nvml = Nvml::Load(options_.nvml_library);
  if (nvml.ok()) {
    nvml_ = *std::move(nvml);
  } else {
    nvml_error_ = std::string(nvml.status().message());
  }
}

absl::StatusOr<AgentProcess::Options> CheckRun::AgentOptionsFor(const std::string& name,
                                                                const AgentExtras& extras) {
  std::string mps_directory = extras.mps_directory;
  if (mps_directory.empty()) {
    mps_directory = absl::StrCat(options_.log_directory, "/no_mps");
    if (mkdir(mps_directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoStatus("mkdir", mps_directory);
    }
  }
  AgentProcess::Options options;
  options.name = name;
  options.command = options_.agent_command;
  options.command.push_back("--agent");
  options.command.push_back(absl::StrCat("--device=", options_.uuid));
  if (extras.user.has_value()) {
    options.command.push_back(absl::StrCat("--agent_user=", *extras.user));
  }
  options.environment = {{"CUDA_MPS_PIPE_DIRECTORY", mps_directory}};
  options.log_path =
      absl::StrCat(options_.log_directory, "/", ++agents_started_, "-", name, ".log");
  options.start_timeout_us = TimeoutUs();
  return options;
}

absl::StatusOr<std::vector<std::unique_ptr<AgentProcess>>> CheckRun::StartAgents(
    const std::vector<std::string>& names, const AgentExtras& extras) {
  std::vector<std::unique_ptr<AgentProcess>> agents;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(AgentProcess::Options options, AgentOptionsFor(name, extras));
    ASSIGN_OR_RETURN(agents.emplace_back(), AgentProcess::Launch(std::move(options)));
  }
  const bool wants_mps = !extras.mps_directory.empty();
  for (const auto& agent : agents) {
    RETURN_IF_ERROR(agent->WaitUntilOpen());
    if (agent->hello().Bool("is_mps_client") != wants_mps) {
      return absl::FailedPreconditionError(
          wants_mps ? "MPS is up, but the driver does not use it"
                    : "the driver uses an MPS daemon of the machine's; it must be ended first");
    }
  }
  return agents;
}

absl::StatusOr<std::unique_ptr<AgentProcess>> CheckRun::StartAgent(const std::string& name,
                                                                   const AgentExtras& extras) {
  ASSIGN_OR_RETURN(auto agents, StartAgents({name}, extras));
  return std::move(agents[0]);
}

absl::StatusOr<AgentProcess*> CheckRun::QuietAgent() {
  if (quiet_agent_ == nullptr) {
    ASSIGN_OR_RETURN(quiet_agent_, StartAgent("quiet"));
  }
  return quiet_agent_.get();
}

absl::StatusOr<AgentMessage> CheckRun::Ask(AgentProcess& agent, const std::string& request,
                                           nlohmann::json values, std::vector<FileDescriptor> fds) {
  return agent.Call(request, {.values = std::move(values), .fds = std::move(fds)}, TimeoutUs());
}

int64_t CheckRun::TimeoutUs() const {
  return std::clamp<int64_t>(UsLeft(), 0, kAnswerUs + 1000 * form().window_ms);
}

int64_t CheckRun::UsLeft() const { return deadline_us_ - NowUs(); }

std::vector<CheckResult> RunChecks(
    CheckRun& run, const std::vector<const CheckInfo*>& selected, const CheckFunctions& functions,
    const std::function<void(const std::vector<CheckResult>&)>& heard) {
  std::vector<CheckResult> results;
  for (const CheckInfo* info : selected) {
    results.push_back(RunCheck(run, *info, functions));
    heard(results);
  }
  return results;
}

bool IsDriversAnswer(const absl::Status& status) {
  return !absl::IsCancelled(status) && !absl::IsDeadlineExceeded(status) &&
         !absl::IsUnavailable(status);
}

void AddMeasurement(CheckResult& result, absl::string_view name, double value,
                    absl::string_view unit) {
  result.measurements.push_back({std::string(name), value, std::string(unit)});
}

}  // namespace alchemist
