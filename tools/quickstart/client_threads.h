// ClientThreads: clients that ask at the same time, each in a thread of its own, until they are
// done, one of them fails, or they are told to stop. Owned by whoever starts them, whose thread
// makes all calls.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_CLIENT_THREADS_H_
#define ALCHEMIST_TOOLS_QUICKSTART_CLIENT_THREADS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace alchemist {

class ClientThreads {
 public:
  // What a client does next. Returns after how many microseconds it wants to be called again, or
  // kDone.
  using Turn = std::function<absl::StatusOr<int64_t>()>;
  static constexpr int64_t kDone = -1;

  ClientThreads() = default;
  ~ClientThreads() { Stop(); }
  ClientThreads(const ClientThreads&) = delete;
  ClientThreads& operator=(const ClientThreads&) = delete;

  // Adds `count` clients that take turns of this kind.
  void Start(int count, const Turn& turn);
  // Ends them after the turn they are in, and waits for that.
  void Stop();
  // Whether each has ended by itself: is done, or one failed.
  bool ended() const;
  // Of the first turn that failed.
  absl::Status status() const;

 private:
  void Run(const Turn& turn);

  mutable Mutex mutex_;  // Guards what the threads tell each other.
  CondVar wake_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_CLIENT_THREADS_H_
