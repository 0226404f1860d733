// AgentProcess: the parent's side of an agent: starts it, asks it, stops, continues and kills it.
// The destructor kills what is left of it. One thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_AGENT_PROCESS_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_AGENT_PROCESS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "tools/daemons/process.h"
#include "tools/gpu_check/agent_message.h"

namespace alchemist {

class AgentProcess {
 public:
  struct Options {
    std::string name;                                                   // In errors: "exporter".
    std::vector<std::string> command;                                   // That becomes the agent.
    std::vector<std::pair<std::string, std::string>> environment = {};  // Beside our own.
    std::string log_path;
    int64_t start_timeout_us = 60'000'000;  // A driver may take its time with a first context.
  };
  // Returns once the agent has opened the device, with the error of that if it could not.
  static absl::StatusOr<std::unique_ptr<AgentProcess>> Start(Options options);
  // The two halves of Start, for agents that open it at the same time.
  static absl::StatusOr<std::unique_ptr<AgentProcess>> Launch(Options options);
  absl::Status WaitUntilOpen();

  // One request and its answer. An answer that is an error comes as that status, with the agent's
  // and the request's name before it. DeadlineExceeded: no answer in time; Unavailable: the agent
  // is gone; Cancelled: a signal stops the run.
  absl::StatusOr<AgentMessage> Call(const std::string& request, AgentMessage arguments,
                                    int64_t timeout_us);
  // The two halves of Call, for what several agents do at the same time.
  absl::Status Send(const std::string& request, AgentMessage arguments);
  absl::StatusOr<AgentMessage> Receive(int64_t timeout_us);

  const AgentMessage& hello() const { return hello_; }  // What it said of itself and its device.
  Process& process() { return *process_; }

 private:
  AgentProcess(const Options& options, FileDescriptor socket, std::unique_ptr<Process> process)
      : name_(options.name),
        start_timeout_us_(options.start_timeout_us),
        socket_(std::move(socket)),
        process_(std::move(process)) {}
  absl::Status Named(const absl::Status& status) const;
  absl::Status DescribeEnd();

  const std::string name_;
  const int64_t start_timeout_us_;
  FileDescriptor socket_;
  const std::unique_ptr<Process> process_;
  AgentMessage hello_;
  std::string request_ = "start";  // The last one that was sent.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_AGENT_PROCESS_H_
