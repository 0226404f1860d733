#include "tools/daemons/daemons.h"

#include <signal.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/logging.h"

namespace alchemist {
namespace {

// Between two looks at a condition; the death of the server ends it at once.
constexpr int64_t kLookUs = 5'000;
constexpr int64_t kLogTailBytes = 6'000;
// EX_TEMPFAIL: a trainer that got too little of the machine to let go of a dead server's memory in
// time exits, to be started again (RELIABILITY.md section 2).
constexpr int kExitToBeRestarted = 75;

std::string Tail(const std::string& text) {
  return text.size() <= kLogTailBytes ? text : text.substr(text.size() - kLogTailBytes);
}

void Append(const std::vector<std::string>& more, std::vector<std::string>& to) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

Daemons::~Daemons() {
  trainer_.reset();
  server_.reset();
  std::error_code error;
  std::filesystem::remove_all(directory(), error);
  if (error) LOG(ERROR) << directory() << ": " << error.message();
}

absl::StatusOr<std::unique_ptr<Process>> Daemons::Start(std::vector<std::string> command,
                                                        const DaemonStart& start,
                                                        const std::string& log) const {
  std::error_code error;
  std::filesystem::create_directories(runtime_dir(), error);
  if (error) return absl::UnavailableError(absl::StrCat(runtime_dir(), ": ", error.message()));
  Process::Options options;
  Append(options_.wrapper, options.command);
  Append(start.wrapper, options.command);
  Append(command, options.command);
  Append(start.flags, options.command);  // The last of two values of a flag holds.
  if (!start.kill_point.empty()) {
    options.environment = {{"ALCHEMIST_KILL_POINT", start.kill_point},
                           {"ALCHEMIST_KILL_POINT_LOG", kill_log()}};
  }
  options.log_path = directory() + "/" + log;
  return Process::Start(std::move(options));
}

absl::Status Daemons::SpawnServer(const DaemonStart& start) {
  std::filesystem::remove(directory() + "/port");
  std::filesystem::remove(metrics_port_file());
  std::vector<std::string> command = {options_.server_program,
                                      "--model=" + options_.model_directory,
                                      "--data_dir=" + directory() + "/data",
                                      "--runtime_dir=" + runtime_dir(),
                                      "--port_file=" + directory() + "/port",
                                      "--listen_address=127.0.0.1:0",
                                      "--metrics_address=127.0.0.1:0",
                                      "--metrics_port_file=" + metrics_port_file()};
  Append(options_.server_flags, command);
  ASSIGN_OR_RETURN(server_, Start(std::move(command), start, "server.log"));
  return absl::OkStatus();
}

absl::Status Daemons::StartServer(const DaemonStart& start) {
  RETURN_IF_ERROR(SpawnServer(start));
  std::string port;
  RETURN_IF_ERROR(WaitFor("the server's port", [&] {
    const absl::StatusOr<std::string> text = ReadFile(directory() + "/port", 64);
    if (text.ok()) port = *text;
    return text.ok();
  }));
  if (!absl::SimpleAtoi(absl::StripSuffix(port, "\n"), &port_)) {
    return absl::InternalError(absl::StrCat("port file: ", port));
  }
  // Its users look at what each call says, and WaitFor ends early when the server has died.
  client_ = AlchemistClient::Create(absl::StrCat("127.0.0.1:", port_), {.retries_max = 0});
  return WaitFor("the server's answer", [&] { return client_->GetStatus().ok(); });
}

absl::Status Daemons::StartTrainer(const DaemonStart& start) {
  trainer_start_ = start;
  std::vector<std::string> command = {options_.trainer_program, "--runtime_dir=" + runtime_dir(),
                                      "--checkpoint_dir=" + checkpoint_dir()};
  Append(options_.trainer_flags, command);
  ASSIGN_OR_RETURN(trainer_, Start(std::move(command), start, "trainer.log"));
  return absl::OkStatus();
}

absl::Status Daemons::StopServer() {
  client_.reset();
  return Stop(*server_);
}

absl::Status Daemons::StopTrainer() {
  const absl::Status status = Stop(*trainer_);
  return trainer_->exited_with(kExitToBeRestarted) ? absl::OkStatus() : status;
}

absl::Status Daemons::Supervise() {
  if (trainer_ == nullptr || trainer_->running() || !trainer_->exited_with(kExitToBeRestarted)) {
    return absl::OkStatus();
  }
  return StartTrainer(DaemonStart(trainer_start_));
}

bool Daemons::TrainerFailed() {
  return trainer_ != nullptr && !trainer_->running() && !trainer_->exited_with(kExitToBeRestarted);
}

absl::Status Daemons::Stop(Process& process) {
  process.Signal(SIGTERM);
  if (!process.WaitForExit(kDeadlineUs)) {
    return absl::DeadlineExceededError(absl::StrCat("SIGTERM does not end it\n", Logs()));
  }
  if (!process.exited_with(0)) {
    return absl::InternalError(
        absl::StrCat("wait status ", *process.wait_status(), " after SIGTERM\n", Logs()));
  }
  return absl::OkStatus();
}

absl::Status Daemons::WaitFor(const std::string& what, const std::function<bool()>& condition,
                              int64_t timeout_us) {
  const Clock& clock = *Clock::Real();
  const int64_t deadline_us = clock.MonotonicUs() + timeout_us;
  for (;;) {
    if (condition()) return absl::OkStatus();
    if (options_.stop != nullptr && *options_.stop) {
      return absl::CancelledError(absl::StrCat("told to stop, waiting for ", what));
    }
    RETURN_IF_ERROR(Supervise());
    if (server_->WaitForExit(kLookUs)) {
      return absl::AbortedError(absl::StrCat("waiting for ", what, ": the server ended\n", Logs()));
    }
    if (clock.MonotonicUs() > deadline_us) {
      return absl::DeadlineExceededError(absl::StrCat("waiting for ", what, "\n", Logs()));
    }
  }
}

absl::Status Daemons::WaitForTrainer(v1::TrainerState state) {
  return WaitFor(absl::StrCat("trainer state ", v1::TrainerState_Name(state)), [&] {
    const absl::StatusOr<v1::GetStatusResponse> status = client_->GetStatus();
    return status.ok() && status->trainer() == state;
  });
}

absl::Status Daemons::WaitForEach(const std::string& what,
                                  const std::vector<std::string>& feedback_ids,
                                  const std::function<bool(const v1::Feedback&)>& condition) {
  size_t met = 0;
  return WaitFor(absl::StrCat(feedback_ids.size(), " feedback to be ", what), [&] {
    while (met < feedback_ids.size()) {
      const absl::StatusOr<v1::Feedback> feedback = client_->GetFeedback(feedback_ids[met]);
      if (!feedback.ok() || !condition(*feedback)) return false;
      ++met;
    }
    return true;
  });
}

absl::Status Daemons::WaitForDone(const std::vector<std::string>& feedback_ids) {
  return WaitForEach("done", feedback_ids, [](const v1::Feedback& feedback) {
    return feedback.state() == v1::FEEDBACK_STATE_DONE;
  });
}

absl::Status Daemons::WaitForServed(const std::vector<std::string>& feedback_ids) {
  return WaitForEach("done and served", feedback_ids, [](const v1::Feedback& feedback) {
    return feedback.state() == v1::FEEDBACK_STATE_DONE && feedback.has_first_revision();
  });
}

absl::Status Daemons::WaitForRevision(uint64_t number) {
  return WaitFor(absl::StrCat("revision ", number), [&] {
    const absl::StatusOr<v1::GetStatusResponse> status = client_->GetStatus();
    return status.ok() && status->revision().number() >= number;
  });
}

absl::Status Daemons::WaitUntilNothingIsHeld() {
  return WaitFor("leases and K/V to be given back", [&] {
    const absl::StatusOr<v1::GetStatusResponse> status = client_->GetStatus();
    return status.ok() && status->requests_running() == 0 && status->records_leased() == 0 &&
           status->serving_kv_bytes_used() == 0;
  });
}

std::string Daemons::Logs() const {
  std::string logs;
  for (const Process* process : {server_.get(), trainer_.get()}) {
    if (process == nullptr) continue;
    absl::StrAppend(&logs, process == server_.get() ? "---- server\n" : "---- trainer\n",
                    Tail(process->Log()), "\n");
  }
  return logs;
}

}  // namespace alchemist
