#include "tools/gpu_check/agent_process.h"

#include <poll.h>
#include <sys/wait.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/packet.h"
#include "tools/gpu_check/stop.h"

namespace alchemist {
namespace {

constexpr int64_t kExitUs = 5'000'000;  // Between the end of its socket and its own.
constexpr size_t kLogBytesMax = 500;
constexpr int kSliceMs = 100;  // How soon a wait notices that the run is to stop.

absl::Status WaitForAnswer(int socket, int64_t timeout_us) {
  const Clock& clock = *Clock::Real();
  const int64_t end_us = clock.MonotonicUs() + timeout_us;
  while (true) {
    if (StopRequested()) return absl::CancelledError("stopped by a signal");
    pollfd entry = {socket, POLLIN, 0};
    if (poll(&entry, 1, kSliceMs) > 0) return absl::OkStatus();
    if (clock.MonotonicUs() >= end_us) {
      return absl::DeadlineExceededError(
          absl::StrCat("no answer within ", timeout_us / 1000, " ms"));
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<AgentProcess>> AgentProcess::Start(Options options) {
  ASSIGN_OR_RETURN(std::unique_ptr<AgentProcess> agent, Launch(std::move(options)));
  RETURN_IF_ERROR(agent->WaitUntilOpen());
  return agent;
}

absl::StatusOr<std::unique_ptr<AgentProcess>> AgentProcess::Launch(Options options) {
  ASSIGN_OR_RETURN(auto sockets, SeqpacketPair());
  ASSIGN_OR_RETURN(std::unique_ptr<Process> process,
                   Process::Start({.command = options.command,
                                   .environment = options.environment,
                                   .log_path = options.log_path,
                                   .inherited_fd = sockets.second.get()}));
  sockets.second = FileDescriptor();  // The agent's alone, so that its death is the end of it.
  return std::unique_ptr<AgentProcess>(
      new AgentProcess(options, std::move(sockets.first), std::move(process)));
}

absl::Status AgentProcess::WaitUntilOpen() {
  ASSIGN_OR_RETURN(hello_, Receive(start_timeout_us_));
  return absl::OkStatus();
}

absl::StatusOr<AgentMessage> AgentProcess::Call(const std::string& request, AgentMessage arguments,
                                                int64_t timeout_us) {
  RETURN_IF_ERROR(Send(request, std::move(arguments)));
  return Receive(timeout_us);
}

absl::Status AgentProcess::Send(const std::string& request, AgentMessage arguments) {
  request_ = request;
  arguments.values["do"] = request;
  return Named(SendMessage(socket_.get(), arguments));
}

absl::StatusOr<AgentMessage> AgentProcess::Receive(int64_t timeout_us) {
  RETURN_IF_ERROR(Named(WaitForAnswer(socket_.get(), timeout_us)));
  absl::StatusOr<AgentMessage> answer = ReceiveMessage(socket_.get(), 0);
  if (absl::IsUnavailable(answer.status())) return Named(DescribeEnd());
  if (!answer.ok()) return Named(answer.status());
  RETURN_IF_ERROR(Named(ErrorOf(*answer)));
  return answer;
}

// How it ended, and the last that it said.
absl::Status AgentProcess::DescribeEnd() {
  if (!process_->WaitForExit(kExitUs)) {
    return absl::UnavailableError("the process closed its socket and does not end");
  }
  const int status = *process_->wait_status();
  const std::string how = WIFSIGNALED(status)
                              ? absl::StrCat("was killed by signal ", WTERMSIG(status))
                              : absl::StrCat("ended with ", WEXITSTATUS(status));
  const std::string log = process_->Log();
  const size_t begin = log.size() - std::min(log.size(), kLogBytesMax);
  return absl::UnavailableError(absl::StrCat("the process ", how, log.empty() ? "" : "; it said: ",
                                             absl::StripAsciiWhitespace(log.substr(begin))));
}

absl::Status AgentProcess::Named(const absl::Status& status) const {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(name_, ", ", request_, ": ", status.message()));
}

}  // namespace alchemist
