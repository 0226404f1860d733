// LogThread: the thread that owns the feedback log; nothing else touches it. Owned by the server's
// main. Post: any thread; Start and Stop: the owner.
//
//   absl::StatusOr<CompletionRow> found = absl::UnknownError("");  // Lives until `done`.
//   log->Post([&](FeedbackLog& log) { found = log.completions().Find(id); return found.status(); },
//             [&](absl::Status status) { ... });
#ifndef ALCHEMIST_SERVER_LOG_THREAD_H_
#define ALCHEMIST_SERVER_LOG_THREAD_H_

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/status.h"
#include "server/feedback_log.h"
#include "server/log_loop.h"

namespace alchemist {

class LogThread {
 public:
  struct Options {
    FeedbackLog::Options log;
    LogLoop::Options loop;
  };

  // Opens the log in `directory`, and runs its loop on a new thread.
  static absl::StatusOr<std::unique_ptr<LogThread>> Start(const std::string& directory,
                                                          const Options& options);
  ~LogThread();  // Stops.

  // As LogLoop::Post.
  absl::Status Post(LogWork work, LogDone done) {
    return loop_.Post(std::move(work), std::move(done));
  }

  // Refuses further commands, answers all that were accepted, and closes the log. The status is
  // that of closing, and concerns nothing that was answered. Once; later calls return OK.
  absl::Status Stop();

 private:
  LogThread(std::unique_ptr<FeedbackLog> log, const LogLoop::Options& options);

  LogLoop loop_;
  std::thread thread_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_LOG_THREAD_H_
