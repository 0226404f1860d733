// OpenLoop: sends each request when it is due, whether or not earlier ones have ended, as users do
// who know nothing of one another. At most `concurrency_max` are in flight: then a request that is
// due waits, and `send` can tell how long by its due time. Owned by whoever starts it, whose thread
// makes all calls.
#ifndef ALCHEMIST_TOOLS_REPLAY_OPEN_LOOP_H_
#define ALCHEMIST_TOOLS_REPLAY_OPEN_LOOP_H_

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

namespace alchemist {

class OpenLoop {
 public:
  // Sends request `index`, which was due at `due_us` of the clock, and returns when it has ended.
  // Called by up to `concurrency_max` threads at once.
  using Send = std::function<void(int64_t index, int64_t due_us)>;

  // Starts. `due_us`, from now and ascending, is of each request. REQUIRES: concurrency_max > 0;
  // `clock`, which runs at the pace of the real one, outlives the loop.
  OpenLoop(std::vector<int64_t> due_us, int64_t concurrency_max, Send send, const Clock* clock);
  ~OpenLoop();  // Stops, and waits for the requests in flight.
  OpenLoop(const OpenLoop&) = delete;
  OpenLoop& operator=(const OpenLoop&) = delete;

  // Sends no further requests. Those in flight go on.
  void Stop();
  // Waits until each request has ended, or, once stopped, each of those that were sent. False when
  // `timeout_us` passed before.
  bool WaitForEnd(int64_t timeout_us);
  int64_t sent() const;
  int64_t ended() const;

 private:
  void Run();
  bool Take(int64_t& index);  // The next request once it is due; false: there is none.

  const std::vector<int64_t> due_us_;
  const Send send_;
  const Clock* const clock_;
  const int64_t start_us_;

  mutable Mutex mutex_;  // Guards what the threads tell each other.
  CondVar changed_;      // By Stop, or by the end of a thread.
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;  // A thread waits for it to be due, or has sent it.
  int64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t threads_running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> threads_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_OPEN_LOOP_H_
