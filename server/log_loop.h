// LogLoop: runs commands on the FeedbackLog and commits them in groups, so that many share one sync
// of the disk. Owned by LogThread (or by a simulator, which calls RunOnce itself). Post: any
// thread; everything else: the log thread.
//
// Bounds: at most queue_commands commands wait, and one that finds no room is refused at once. A
// transaction takes at most group_commands, and none more once it is group_us old; it waits for no
// further ones, since those that come during its sync are the next group.
#ifndef ALCHEMIST_SERVER_LOG_LOOP_H_
#define ALCHEMIST_SERVER_LOG_LOOP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/status.h"
#include "server/feedback_log.h"

namespace alchemist {

// Runs inside a transaction and leaves its results in what it captured. When it fails it is undone
// alone. It may run twice (below), so that it must set results and not add to them.
using LogWork = std::function<absl::Status(FeedbackLog&)>;
// Called on the log thread, once, when the outcome of the work is durable. Must not block.
using LogDone = std::function<void(absl::Status)>;

class LogLoop {
 public:
  struct Options {
    int64_t queue_commands = 1024;
    int64_t group_commands = 64;
    int64_t group_us = 5000;
    Clock* clock = Clock::Real();  // Must outlive the loop.
  };

  LogLoop(std::unique_ptr<FeedbackLog> log, const Options& options);

  // Queues `work`; `done` gets its status, or that of the commit. When this returns an error,
  // neither is called: RESOURCE_EXHAUSTED when the queue is full, UNAVAILABLE after CloseQueue.
  absl::Status Post(LogWork work, LogDone done);

  // Runs and commits one group; waits at most `wait_us` for its first command. When the transaction
  // fails as a whole, each of its commands runs once more in its own, so that one that needs too
  // much of a full disk takes no other with it; but never after a failed fsync. False once the
  // queue is closed and all commands are answered.
  bool RunOnce(int64_t wait_us);

  void CloseQueue() { queue_.Close(); }  // Any thread. What is queued will still be run.
  // Closes the file; another may open it. REQUIRES: RunOnce has returned false.
  absl::Status CloseLog();

 private:
  struct Command {
    LogWork work;
    LogDone done;
    absl::Status outcome;
  };

  absl::Status RunGroup(Command first, std::vector<Command>* group);
  absl::Status RunAlone(const Command& command);
  absl::Status Commit();

  std::unique_ptr<FeedbackLog> log_;
  const Options options_;
  BoundedQueue<Command> queue_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_LOG_LOOP_H_
