// CheckRun: one run of alchemist-gpu-check: its form and deadline, the agents it starts, and the
// results so far. One thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_CHECK_RUN_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_CHECK_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "kernels/cuda/nvml.h"
#include "tools/gpu_check/agent_process.h"
#include "tools/gpu_check/catalogue.h"
#include "tools/gpu_check/check.h"
#include "tools/gpu_check/form.h"

namespace alchemist {

// What an agent is started with beside the usual.
struct AgentExtras {
  std::optional<uint32_t> user = {};  // Becomes this user before it opens the device.
  std::string mps_directory = {};     // Where an MPS daemon listens; empty: none, not even a
                                      // machine's own.
};

class CheckRun {
 public:
  struct Options {
    std::vector<std::string> agent_command;  // Becomes an agent when "--agent" is appended.
    std::string uuid;                        // The device that is asked.
    std::string nvml_library;
    std::string log_directory;  // Of the agents' output.
    Form form;
    std::unique_ptr<AgentProcess> quiet_agent;  // May be null: then one is started.
  };
  explicit CheckRun(Options options);

  const Form& form() const { return options_.form; }
  const std::string& uuid() const { return options_.uuid; }
  // Null, and `nvml_error` says why, where the machine has no NVML.
  const Nvml* nvml() const { return nvml_.get(); }
  const std::string& nvml_error() const { return nvml_error_; }

  // One agent for each name, which open the device at the same time. Without MPS unless `extras`
  // says where it listens: FailedPrecondition when the device says otherwise.
  absl::StatusOr<std::vector<std::unique_ptr<AgentProcess>>> StartAgents(
      const std::vector<std::string>& names, const AgentExtras& extras = {});
  absl::StatusOr<std::unique_ptr<AgentProcess>> StartAgent(const std::string& name,
                                                           const AgentExtras& extras = {});
  // An agent for what nobody is killed in, there from the first to the last such check: a driver
  // that nobody uses may go to sleep, and take seconds to wake. Valid until the check ends.
  absl::StatusOr<AgentProcess*> QuietAgent();
  void DropQuietAgent() { quiet_agent_.reset(); }  // After an error, which may have lost it.

  // One request to an agent, and its answer; bounded by the run's deadline too.
  absl::StatusOr<AgentMessage> Ask(AgentProcess& agent, const std::string& request,
                                   nlohmann::json values = nlohmann::json::object(),
                                   std::vector<FileDescriptor> fds = {});
  // What Ask waits at most: longer than a request takes, but not beyond the deadline.
  int64_t TimeoutUs() const;
  int64_t UsLeft() const;
  const std::string& log_directory() const { return options_.log_directory; }

 private:
  absl::StatusOr<AgentProcess::Options> AgentOptionsFor(const std::string& name,
                                                        const AgentExtras& extras);

  Options options_;
  const int64_t deadline_us_;
  std::unique_ptr<Nvml> nvml_;
  std::string nvml_error_;
  std::unique_ptr<AgentProcess> quiet_agent_;
  int agents_started_ = 0;
};

// Answers one question of the catalogue: fills what was done, what happened, the verdict, what
// follows and the measurements. An error is a failed check: the machine did not do what it was
// asked. (Not so once the run is stopped or out of time: then nothing that it says counts.)
using CheckFunction = absl::Status (*)(CheckRun& run, CheckResult& result);
using CheckFunctions = std::map<absl::string_view, CheckFunction>;

// Asks everything in `selected`, in that order; what the deadline or a signal cuts off is kNotRun.
// `heard` is called after each, with all results so far.
std::vector<CheckResult> RunChecks(
    CheckRun& run, const std::vector<const CheckInfo*>& selected, const CheckFunctions& functions,
    const std::function<void(const std::vector<CheckResult>&)>& heard);

// Whether an error is what the driver said, and not that an agent is gone or does not answer.
bool IsDriversAnswer(const absl::Status& status);

void AddMeasurement(CheckResult& result, absl::string_view name, double value,
                    absl::string_view unit);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_CHECK_RUN_H_
