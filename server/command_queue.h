// CommandQueue: what other threads want done on a loop's thread. Two queues, both bounded: one for
// callers who can be told that there is no room, and one for the server's own threads, which must
// neither wait nor lose a command.
#ifndef ALCHEMIST_SERVER_COMMAND_QUEUE_H_
#define ALCHEMIST_SERVER_COMMAND_QUEUE_H_

#include <cstdint>
#include <functional>

#include "base/bounded_queue.h"
#include "base/status.h"

namespace alchemist {

class CommandQueue {
 public:
  using Command = std::function<void()>;
  static constexpr int64_t kCommandsMax = 4096;
  static constexpr int64_t kInternalMax = int64_t{1} << 20;

  // ---- Any thread ----
  // Unavailable when the queue is closed, or stays full for some seconds.
  absl::Status Post(Command command);
  // As Post, for threads that must not wait: ResourceExhausted, with a retry pushback, at once when
  // the queue is full.
  absl::Status TryPost(Command command);
  // For the server's own threads (log, publisher, attach listener), which have few commands under
  // way and must neither wait nor lose one: what they report cannot be asked for again.
  void PostInternal(Command command);
  // As Post, and waits for what `command` returns.
  absl::Status Call(std::function<absl::Status()> command);
  void Close();  // Refuses new commands, but for internal ones.
  bool closed() const { return commands_.closed(); }

  // ---- The loop's thread ----
  // Runs what is queued, the internal ones first, but at most kCommandsMax. True: it stopped there,
  // and there may be more.
  bool Run();
  // Runs all that is queued. After Close, so that every Call is answered.
  void Drain();
  // Waits at most `timeout_us` for a command, and runs it.
  void WaitAndRun(int64_t timeout_us);

 private:
  absl::Status WhyNotPosted() const;

  BoundedQueue<Command> commands_{kCommandsMax};
  BoundedQueue<Command> internal_{kInternalMax};
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_COMMAND_QUEUE_H_
