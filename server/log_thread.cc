#include "server/log_thread.h"

#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kIdleWaitUs = 1'000'000;  // Bounds the wait only; a command wakes it at once.

}  // namespace

absl::StatusOr<std::unique_ptr<LogThread>> LogThread::Start(const std::string& directory,
                                                            const Options& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<FeedbackLog> log, FeedbackLog::Open(directory, options.log));
  return std::unique_ptr<LogThread>(new LogThread(std::move(log), options.loop));
}

LogThread::LogThread(std::unique_ptr<FeedbackLog> log, const LogLoop::Options& options)
    : loop_(std::move(log), options), thread_([this] {
        while (loop_.RunOnce(kIdleWaitUs)) {
        }
      }) {}

LogThread::~LogThread() {
  const absl::Status status = Stop();
  LOG_IF(WARNING, !status.ok()) << "closing the feedback log: " << status;
}

absl::Status LogThread::Stop() {
  if (!thread_.joinable()) return absl::OkStatus();
  loop_.CloseQueue();
  thread_.join();
  return loop_.CloseLog();
}

}  // namespace alchemist
