#include "tools/gpu_check/check_run.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/logging.h"
#include "tools/gpu_check/stop.h"

namespace alchemist {
namespace {

constexpr int64_t kAnswerUs = 60'000'000;  // What a request may take; the first loads libraries.
constexpr int64_t kSecondUs = 1'000'000;

int64_t NowUs() { return Clock::Real()->MonotonicUs(); }

CheckResult RunCheck(CheckRun& run, const CheckInfo& info, const CheckFunctions& functions) {
  CheckResult result;
  result.id = std::string(info.id);
  result.question = std::string(info.question);
  if (StopRequested()) {
    result.happened = "stopped by a signal";
    return result;
  }
  if (run.UsLeft() <= 0) {
    result.happened = absl::StrCat("out of time: the ", run.form().name, " form has ",
                                   run.form().seconds_max, " s");
    return result;
  }
  const auto function = functions.find(info.id);
  CHECK(function != functions.end()) << info.id;
  const absl::Status status = function->second(run, result);
  if (absl::IsCancelled(status)) {
    result.verdict = CheckVerdict::kNotRun;
    result.happened = std::string(status.message());
  } else if (!status.ok()) {
    result.verdict = CheckVerdict::kFail;
    absl::StrAppend(&result.happened, result.happened.empty() ? "" : " Then: ", status.message());
    if (result.consequence.empty()) {
      result.consequence = "the design relies on this: the CUDA backend will not run here";
    }
  }
  return result;
}

}  // namespace

CheckRun::CheckRun(Options options)
    : options_(std::move(options)), deadline_us_(NowUs() + options_.form.seconds_max * kSecondUs) {
  absl::StatusOr<std::unique_ptr<Nvml>> nvml = Nvml::Load(options_.nvml_library);
  if (nvml.ok()) {
    nvml_ = *std::move(nvml);
  } else {
    nvml_error_ = std::string(nvml.status().message());
  }
}

absl::StatusOr<std::unique_ptr<AgentProcess>> CheckRun::StartAgent(const std::string& name,
                                                                   const AgentExtras& extras) {
  std::vector<std::string> command = options_.agent_command;
  command.push_back("--agent");
  command.push_back(absl::StrCat("--device=", options_.uuid));
  if (extras.user.has_value()) command.push_back(absl::StrCat("--agent_user=", *extras.user));
  const std::string log_path =
      absl::StrCat(options_.log_directory, "/", ++agents_started_, "-", name, ".log");
  return AgentProcess::Start({.name = name,
                              .command = std::move(command),
                              .environment = extras.environment,
                              .log_path = log_path,
                              .start_timeout_us = TimeoutUs()});
}

absl::StatusOr<AgentMessage> CheckRun::Ask(AgentProcess& agent, const std::string& request,
                                           nlohmann::json values, std::vector<FileDescriptor> fds) {
  return agent.Call(request, {.values = std::move(values), .fds = std::move(fds)}, TimeoutUs());
}

int64_t CheckRun::TimeoutUs() const {
  return std::clamp<int64_t>(UsLeft(), 0, kAnswerUs + 1000 * form().window_ms);
}

int64_t CheckRun::UsLeft() const { return deadline_us_ - NowUs(); }

std::vector<CheckResult> RunChecks(CheckRun& run, const std::vector<const CheckInfo*>& selected,
                                   const CheckFunctions& functions,
                                   const std::function<void(const CheckResult&)>& progress) {
  std::vector<CheckResult> results;
  for (const CheckInfo* info : selected) {
    results.push_back(RunCheck(run, *info, functions));
    progress(results.back());
  }
  return results;
}

void AddMeasurement(CheckResult& result, absl::string_view name, double value,
                    absl::string_view unit) {
  result.measurements.push_back({std::string(name), value, std::string(unit)});
}

}  // namespace alchemist
