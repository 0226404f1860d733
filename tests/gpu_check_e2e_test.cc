// alchemist-gpu-check as an operator runs it, on the stand-in driver: all of its processes, sockets
// and kills are real, the GPU is not.
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/assert_ok.h"
#include "tools/daemons/process.h"
#include "tools/gpu_check/exit_code.h"
#include "tools/gpu_check/report.h"

namespace alchemist {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t kRunUs = 200'000'000;
constexpr int64_t kProgressUs = 60'000'000;

std::string Runfile(const std::string& path) {
  return absl::StrCat(getenv("TEST_SRCDIR"), "/alchemist/", path);
}

// Empty when it is gone.
std::string FileText(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class GpuCheckE2eTest : public testing::Test {
 protected:
  // In a folder that another user may read, for the experiment that becomes one.
  void SetUp() override {
    std::string path = "/tmp/gpu_check_e2e.XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
    driver_ = directory_ + "/libcuda_stand_in.so";
    std::filesystem::copy_file(Runfile("kernels/cuda/stand_in/libcuda_stand_in.so"), driver_);
    json_ = directory_ + "/report.json";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  using Environment = std::vector<std::pair<std::string, std::string>>;
  std::unique_ptr<Process> Start(const std::vector<std::string>& flags,
                                 Environment environment = {}) {
    std::vector<std::string> command = {Runfile("tools/gpu_check/alchemist-gpu-check"),
                                        "--driver_library=" + driver_, "--nvml_library=" + driver_,
                                        "--form=tiny", "--json=" + json_};
    command.insert(command.end(), flags.begin(), flags.end());
    environment.emplace_back("ALCHEMIST_STAND_IN_MACHINE", directory_);
    environment.emplace_back("TMPDIR", directory_);
    auto process = Process::Start({.command = std::move(command),
                                   .environment = std::move(environment),
                                   .log_path = directory_ + "/log"});
    EXPECT_OK(process);
    return *std::move(process);
  }

  // Its exit code.
  int Run(const std::vector<std::string>& flags, Environment environment = {}) {
    const auto process = Start(flags, std::move(environment));
    EXPECT_TRUE(process->WaitForExit(kRunUs));
    log_ = process->Log();
    return WEXITSTATUS(process->wait_status().value_or(-1));
  }

  std::map<std::string, CheckResult> Results() {
    const auto text = ReadFile(json_, 1 << 24);
    EXPECT_OK(text);
    const auto report = ParseReport(text.ok() ? *text : "", json_);
    EXPECT_OK(report);
    std::map<std::string, CheckResult> results;
    if (!report.ok()) return results;
    for (const CheckResult& result : report->results) results[result.id] = result;
    return results;
  }

  // The processes of this test's machine, as lines of /proc/PID/stat: number, name, state.
  std::vector<std::string> ProcessesOfDevice() {
    std::vector<std::string> processes;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      if (FileText(entry.path() / "environ").find("ALCHEMIST_STAND_IN_MACHINE=" + directory_) !=
          std::string::npos) {
        processes.push_back(FileText(entry.path() / "stat"));
      }
    }
    return processes;
  }
  bool HasStoppedProcess() {
    const auto processes = ProcessesOfDevice();
    return std::any_of(processes.begin(), processes.end(), [](const std::string& process) {
      return absl::StrContains(process, ") T ");
    });
  }

  std::string directory_;
  std::string driver_;
  std::string json_;
  std::string log_;
};

double MeasurementOf(const CheckResult& result, const std::string& name) {
  for (const Measurement& measurement : result.measurements) {
    if (measurement.name == name) return measurement.value;
  }
  ADD_FAILURE() << result.id << " has no " << name;
  return -1;
}

TEST_F(GpuCheckE2eTest, SharingAndDeathsComeOutAsTheStandInIsMade) {
  EXPECT_EQ(Run({"--only=sharing,death"}), geteuid() == 0 ? kExitPassed : kExitNotRun) << log_;
  const auto results = Results();
  for (const char* id :
       {"sharing.granularity", "sharing.import", "sharing.canary", "sharing.descriptor_owner",
        "sharing.read_only", "sharing.uuid", "sharing.legacy", "death.importer"}) {
    EXPECT_EQ(results.at(id).verdict, CheckVerdict::kPass) << id << ": " << results.at(id).happened;
  }
  EXPECT_EQ(MeasurementOf(results.at("sharing.descriptor_owner"), "descriptors_open_after_import"),
            3);
  EXPECT_THAT(results.at("sharing.read_only").happened, HasSubstr("CUDA_ERROR_ILLEGAL_ADDRESS"));
  EXPECT_EQ(results.at("death.exporter").happened,
            "the importer still read every word; the memory was not given back");
  EXPECT_NEAR(MeasurementOf(results.at("death.exporter"), "charged_to_exporter/before"), 6, 0.5);
  EXPECT_NEAR(MeasurementOf(results.at("death.exporter"), "charged_to_importer/after"), 6, 0.5);
  // A memfd is gone with its last descriptor, as device memory is.
  EXPECT_EQ(results.at("death.exporter_reclaim").happened,
            "the memory was back after its close of the descriptors, not yet after the exporter's "
            "death, the importer's unmap, its release of the handles");
  EXPECT_EQ(results.at("death.exporter_legacy").happened,
            "the importer still read every word; the memory was back after the importer's close, "
            "not yet after the exporter's death");
  EXPECT_EQ(MeasurementOf(results.at("sharing.read_only"), "words_changed"), 0);
  // The stand-in's kernels are threads: they stop with their process.
  EXPECT_EQ(results.at("death.importer_stopped").consequence, "queued work stops with its process");
  EXPECT_THAT(ProcessesOfDevice(), IsEmpty());
}

TEST_F(GpuCheckE2eTest, AnotherUserIsTriedByRootAlone) {
  const int exit_code = Run({"--only=sharing.legacy_other_user"});
  const CheckResult result = Results().at("sharing.legacy_other_user");
  if (geteuid() != 0) {
    EXPECT_EQ(exit_code, kExitNotRun);
    EXPECT_EQ(result.happened, "only root can become another user");
    return;
  }
  EXPECT_EQ(exit_code, kExitPassed);
  EXPECT_EQ(result.consequence, "the driver checks the user of legacy handles");
}

TEST_F(GpuCheckE2eTest, ReclaimAndInterferenceMeasureWhatTheyName) {
  const int exit_code = Run({"--only=reclaim,interference.time_sliced,interference.fault"});
  EXPECT_TRUE(exit_code == kExitPassed || exit_code == kExitFailed) << exit_code << log_;
  const auto results = Results();
  for (const char* id : {"reclaim.host_register", "interference.fault"}) {
    EXPECT_EQ(results.at(id).verdict, CheckVerdict::kPass) << id << ": " << results.at(id).happened;
  }
  EXPECT_THAT(results.at("reclaim.host_register_read_only").happened,
              HasSubstr("the reader's device had every word"));
  EXPECT_GT(MeasurementOf(results.at("reclaim.unmap"), "unmap_us_all"), 0);
  EXPECT_GT(MeasurementOf(results.at("reclaim.fence"), "fence_us_8192_pages"), 0);
  EXPECT_GT(MeasurementOf(results.at("reclaim.scrub"), "scrub_gb_per_s"), 0);
  const CheckResult sliced = results.at("interference.time_sliced");
  EXPECT_EQ(sliced.verdict, CheckVerdict::kMeasured) << sliced.happened;
  for (const char* queued : {"200", "1000", "5000", "20000"}) {
    EXPECT_GT(MeasurementOf(sliced, absl::StrCat("queued_", queued, "_us/step_p99")), 0);
    EXPECT_GT(MeasurementOf(sliced, absl::StrCat("queued_", queued, "_us/training_share")), 0);
  }
}

TEST_F(GpuCheckE2eTest, CopiesAndLaunchesAreTimed) {
  EXPECT_EQ(Run({"--only=speed.device_copy,speed.host_copy,speed.launch"}), kExitPassed) << log_;
  const auto results = Results();
  EXPECT_GT(MeasurementOf(results.at("speed.device_copy"), "copy_gb_per_s"), 0);
  EXPECT_EQ(results.at("speed.host_copy").measurements.size(), 8U);
  EXPECT_GT(MeasurementOf(results.at("speed.launch"), "graph_us"), 0);
}

TEST_F(GpuCheckE2eTest, WithoutMpsItsQuestionsAreNotRunAndSayWhy) {
  EXPECT_EQ(Run({"--only=interference.mps,interference.fault_mps"}, {{"PATH", "/usr/bin:/bin"}}),
            kExitNotRun);
  for (const auto& [id, result] : Results()) {
    EXPECT_EQ(result.verdict, CheckVerdict::kNotRun) << id;
    EXPECT_EQ(result.happened, "nvidia-cuda-mps-control is not on the PATH");
  }
}

// A script in the place of NVIDIA's daemon: the stand-in takes its file "control" for MPS.
TEST_F(GpuCheckE2eTest, WithMpsItsQuestionsAreAskedOfItsClients) {
  const std::string program = directory_ + "/nvidia-cuda-mps-control";
  std::ofstream(program) << R"sh(#!/bin/sh
if [ "$1" = -f ]; then
  echo $$ > "$CUDA_MPS_LOG_DIRECTORY/pid"
  touch "$CUDA_MPS_PIPE_DIRECTORY/control"
  exec sleep 1000
fi
read word
case "$word" in quit*) kill "$(cat "$CUDA_MPS_LOG_DIRECTORY/pid")" ;; esac
)sh";
  ASSERT_EQ(chmod(program.c_str(), 0755), 0);
  const std::string path = "/usr/bin:/bin:" + directory_;
  EXPECT_EQ(Run({"--only=interference.mps,interference.fault_mps"}, {{"PATH", path}}), kExitPassed)
      << log_;
  const auto results = Results();
  EXPECT_GT(MeasurementOf(results.at("interference.mps"), "queued_200_us/step_p99"), 0);
  EXPECT_EQ(MeasurementOf(results.at("interference.fault_mps"), "decoder_lives"), 1);
  EXPECT_THAT(ProcessesOfDevice(), IsEmpty());
}

TEST_F(GpuCheckE2eTest, AnMpsDaemonOfTheMachineIsNotUsed) {
  const std::string pipe_directory = directory_ + "/machine";
  std::filesystem::create_directory(pipe_directory);
  std::ofstream(pipe_directory + "/control") << "";
  EXPECT_EQ(Run({"--only=sharing.uuid"}, {{"CUDA_MPS_PIPE_DIRECTORY", pipe_directory}}),
            kExitPassed)
      << log_;
  std::filesystem::remove_all(pipe_directory);
}

// kill -9 of the program itself, while it has stopped one of its processes.
TEST_F(GpuCheckE2eTest, NothingOutlivesItAndItsLastReportIsThere) {
  const auto process = Start({"--only=sharing.uuid,death.importer_stopped"});
  const int64_t end_us = Clock::Real()->MonotonicUs() + kProgressUs;
  while (!HasStoppedProcess()) {
    ASSERT_LT(Clock::Real()->MonotonicUs(), end_us) << process->Log();
    ASSERT_FALSE(process->WaitForExit(1'000)) << process->Log();
  }
  process->Signal(SIGKILL);
  ASSERT_TRUE(process->WaitForExit(kRunUs));
  while (!ProcessesOfDevice().empty()) {
    ASSERT_LT(Clock::Real()->MonotonicUs(), end_us) << ProcessesOfDevice()[0];
  }
  EXPECT_EQ(Results().at("sharing.uuid").verdict, CheckVerdict::kPass);
}

TEST_F(GpuCheckE2eTest, WithoutADriverItSaysNoGpuWithAnExitCodeOfItsOwn) {
  EXPECT_EQ(Run({"--driver_library=/nonexistent/libcuda.so.1"}), kExitNoGpu);
  EXPECT_THAT(log_, HasSubstr("no GPU can be asked: no NVIDIA driver: /nonexistent/libcuda.so.1"));
  EXPECT_FALSE(std::filesystem::exists(json_));
}

TEST_F(GpuCheckE2eTest, ADriverWithoutADeviceIsNoGpuEither) {
  EXPECT_EQ(Run({}, {{"ALCHEMIST_STAND_IN_DEVICES", "0"}}), kExitNoGpu);
  EXPECT_THAT(log_, HasSubstr("no GPU can be asked"));
  EXPECT_EQ(Run({"--device=GPU-of-another-machine"}), kExitNoGpu);
  EXPECT_THAT(log_,
              HasSubstr("no GPU has the UUID GPU-of-another-machine; there are GPU-414c4348"));
}

TEST_F(GpuCheckE2eTest, ADryRunOpensTheDeviceAndAsksNothing) {
  EXPECT_EQ(Run({"--dry_run", "--only=speed"}), kExitPassed);
  EXPECT_THAT(log_, HasSubstr("Alchemist stand-in, GPU-414c4348-454d-4953-5400-000000000001: 6 "
                              "questions would be asked"));
  EXPECT_FALSE(std::filesystem::exists(json_));
}

TEST_F(GpuCheckE2eTest, ADeviceWithoutRoomIsRefusedWithWhatIsNeeded) {
  EXPECT_EQ(Run({"--form=short"}), kExitNoGpu);
  EXPECT_THAT(log_, HasSubstr("it has 1023 MiB of memory free; the short form needs 8192"));
}

TEST_F(GpuCheckE2eTest, AnOldDriverIsNamedWithTheVersionThatIsNeeded) {
  EXPECT_EQ(Run({}, {{"ALCHEMIST_STAND_IN_VERSION", "12040"}}), kExitNoGpu);
  EXPECT_THAT(log_, HasSubstr("the driver is of CUDA 12.4; 13.0 (r580) or newer is needed"));
}

TEST_F(GpuCheckE2eTest, WhatTheDriverRefusesIsAFailedCheckAndTheRestGoesOn) {
  EXPECT_EQ(Run({"--only=sharing.granularity,sharing.import,sharing.uuid"},
                {{"ALCHEMIST_STAND_IN_FAIL", "cuMemImportFromShareableHandle:1:801"}}),
            kExitFailed);
  const auto results = Results();
  EXPECT_EQ(results.at("sharing.import").verdict, CheckVerdict::kFail);
  EXPECT_THAT(results.at("sharing.import").happened,
              HasSubstr("importer, import_arena: cuMemImportFromShareableHandle of chunk 0 of 3"));
  EXPECT_EQ(results.at("sharing.uuid").verdict, CheckVerdict::kPass);
}

TEST_F(GpuCheckE2eTest, BadArgumentsAreRefusedByNameBeforeAnythingRuns) {
  EXPECT_EQ(Run({"--form=huge"}), kExitBadArguments);
  EXPECT_THAT(log_, HasSubstr("--form: 'huge' is not short, long or tiny"));
  EXPECT_EQ(Run({"--only=shearing"}), kExitBadArguments);
  EXPECT_THAT(log_, HasSubstr("\"shearing\" is neither a check nor a group"));
  EXPECT_EQ(Run({"--json=/nonexistent/report.json"}), kExitBadArguments);
  EXPECT_THAT(log_, HasSubstr("--json: /nonexistent"));
  EXPECT_EQ(Run({"--show=/nonexistent/report.json"}), kExitBadArguments);
  EXPECT_THAT(log_, HasSubstr("/nonexistent/report.json"));
  EXPECT_THAT(log_, Not(HasSubstr("[1/")));
}

TEST_F(GpuCheckE2eTest, ASignalEndsItWithWhatWasFoundReportedAndNothingLeftRunning) {
  const auto process = Start({});
  const int64_t end_us = Clock::Real()->MonotonicUs() + kProgressUs;
  while (!absl::StrContains(process->Log(), "[2/")) {
    ASSERT_LT(Clock::Real()->MonotonicUs(), end_us) << process->Log();
    ASSERT_FALSE(process->WaitForExit(1'000)) << process->Log();
  }
  process->Signal(SIGTERM);
  ASSERT_TRUE(process->WaitForExit(kRunUs));
  EXPECT_TRUE(process->exited_with(128 + SIGTERM)) << process->Log();
  const auto results = Results();
  EXPECT_EQ(results.at("sharing.granularity").verdict, CheckVerdict::kPass);
  EXPECT_EQ(results.at("speed.attention").happened, "stopped by a signal");
  EXPECT_THAT(ProcessesOfDevice(), IsEmpty());
  // Its own folder of logs is gone too.
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    EXPECT_FALSE(entry.is_directory()) << entry.path();
  }
}

}  // namespace
}  // namespace alchemist
