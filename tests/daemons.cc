#include "tests/daemons.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

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

std::string NewDirectory() {
  const char* root = std::getenv("TEST_TMPDIR");
  CHECK(root != nullptr) << "not run by Bazel";
  std::string path = absl::StrCat(root, "/d.XXXXXX");
  PCHECK(mkdtemp(path.data()) != nullptr) << path;
  return path;
}

std::string Tail(const std::string& text) {
  return text.size() <= kLogTailBytes ? text : text.substr(text.size() - kLogTailBytes);
}

}  // namespace

Daemons::Daemons(std::string model_directory)
    : model_directory_(std::move(model_directory)), directory_(NewDirectory()) {
  PCHECK(mkdir(runtime_dir().c_str(), 0700) == 0) << runtime_dir();
}

Daemons::~Daemons() {
  trainer_.reset();
  server_.reset();
  std::error_code error;
  std::filesystem::remove_all(directory_, error);
  if (error) LOG(ERROR) << directory_ << ": " << error.message();
}

absl::StatusOr<std::unique_ptr<Process>> Daemons::Start(const std::string& program,
                                                        const std::vector<std::string>& defaults,
                                                        const DaemonStart& start,
                                                        const std::string& log) const {
  Process::Options options;
  options.command = start.wrapper;
  options.command.push_back(ProgramPath(program));
  options.command.insert(options.command.end(), defaults.begin(), defaults.end());
  // The last of two values of a flag holds.
  options.command.insert(options.command.end(), start.flags.begin(), start.flags.end());
  if (!start.kill_point.empty()) {
    options.environment = {{"ALCHEMIST_KILL_POINT", start.kill_point},
                           {"ALCHEMIST_KILL_POINT_LOG", kill_log()}};
  }
  options.log_path = directory_ + "/" + log;
  return Process::Start(std::move(options));
}

absl::Status Daemons::SpawnServer(const DaemonStart& start) {
  std::filesystem::remove(directory_ + "/port");
  ASSIGN_OR_RETURN(server_,
                   Start("server/alchemist-server",
                         {"--model=" + model_directory_, "--data_dir=" + directory_ + "/data",
                          "--runtime_dir=" + runtime_dir(), "--port_file=" + directory_ + "/port",
                          "--listen_address=127.0.0.1:0", "--threads=1", "--device_bytes=67108864",
                          "--serving_kv_bytes=16777216", "--adapter_rank=4"},
                         start, "server.log"));
  return absl::OkStatus();
}

absl::Status Daemons::StartServer(const DaemonStart& start) {
  RETURN_IF_ERROR(SpawnServer(start));
  std::string port;
  RETURN_IF_ERROR(WaitFor("the server's port", [&] {
    const absl::StatusOr<std::string> text = ReadFile(directory_ + "/port", 64);
    if (text.ok()) port = *text;
    return text.ok();
  }));
  if (!absl::SimpleAtoi(absl::StripSuffix(port, "\n"), &port_)) {
    return absl::InternalError(absl::StrCat("port file: ", port));
  }
  client_ = AlchemistClient::Create(absl::StrCat("127.0.0.1:", port_));
  return WaitFor("the server's answer", [&] { return client_->GetStatus().ok(); });
}

absl::Status Daemons::StartTrainer(const DaemonStart& start) {
  trainer_start_ = start;
  ASSIGN_OR_RETURN(
      trainer_, Start("trainer/alchemist-trainer",
                      {"--runtime_dir=" + runtime_dir(), "--checkpoint_dir=" + checkpoint_dir(),
                       "--threads=1", "--publish_interval_ms=100", "--passes=3", "--done_loss=0"},
                      start, "trainer.log"));
  return absl::OkStatus();
}

// Without the client first: a connection that nobody uses answers the server's farewell only at
// gRPC's next look at it, which is up to 5 s away.
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

v1::CompleteRequest GreedyRequest(const std::vector<int32_t>& prompt, int64_t max_tokens) {
  v1::CompleteRequest request;
  request.mutable_tokens()->mutable_ids()->Add(prompt.begin(), prompt.end());
  request.set_max_tokens(max_tokens);
  request.set_temperature(0);
  return request;
}

v1::CompleteRequest GreedyRequest(const std::string& prompt, int64_t max_tokens) {
  v1::CompleteRequest request;
  request.set_text(prompt);
  request.set_max_tokens(max_tokens);
  request.set_temperature(0);
  return request;
}

v1::SubmitFeedbackRequest CorrectionOf(const std::string& completion_id, const std::string& key,
                                       const std::string& text) {
  v1::SubmitFeedbackRequest request;
  request.set_completion_id(completion_id);
  request.set_idempotency_key(key);
  request.mutable_correction()->set_text(text);
  return request;
}

v1::SubmitFeedbackRequest RatingOf(const std::string& completion_id, const std::string& key,
                                   int32_t value) {
  v1::SubmitFeedbackRequest request;
  request.set_completion_id(completion_id);
  request.set_idempotency_key(key);
  request.mutable_rating()->set_value(value);
  return request;
}

}  // namespace alchemist
