#include "kernels/worker_pool.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/logging.h"

namespace alchemist {
namespace {

using Word = std::atomic<uint32_t>;
static_assert(sizeof(Word) == sizeof(uint32_t) && Word::is_always_lock_free);

// Returns at once when `word` is not `expected`; may also wake without cause.
void FutexWait(Word* word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void FutexWake(Word* word, int threads) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins until done(), at most 20 us: longer spinning beside a process of the same priority takes
// that process's time slices, and then ours (DESIGN.md section 9). Returns done().
template <typename Done>
bool SpinUntil(const Done& done) {
  using SteadyClock = std::chrono::steady_clock;
  constexpr int kPausesPerClockRead = 16;
  const SteadyClock::time_point end = SteadyClock::now() + std::chrono::microseconds(20);
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      if (done()) return true;
      Pause();
    }
  } while (SteadyClock::now() < end);
  return done();
}

}  // namespace

absl::Status SetIdlePriority() {
  sched_param param = {};
  // Threads made by this one do not inherit it: heartbeats and gRPC's threads must not be late.
  if (sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &param) != 0) {
    return ErrnoStatus("sched_setscheduler", "SCHED_IDLE");
  }
  return absl::OkStatus();
}

// A job is the tiles of one ParallelFor. `gate_` lets workers into it while it is open and counts
// those inside; after the caller has closed it, nobody new comes in, and when the last one is out
// the caller may return. So a worker that wakes late meets a closed gate or a later job, never a
// job whose tile function is gone, and nobody waits for it.
class WorkerPool::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {
    CHECK_GE(options_.threads, 1);
    for (int i = 1; i < options_.threads; ++i) workers_.emplace_back([this] { WorkerLoop(); });
  }

  ~Impl() {
    stopping_.store(true);
    Announce(INT_MAX);
    for (std::thread& worker : workers_) worker.join();
  }

  void ParallelFor(int64_t count, absl::FunctionRef<void(int64_t)> tile) {
    CHECK(!running_.exchange(true)) << "ParallelFor inside a tile, or by two threads at once";
    tile_ = &tile;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    const bool shared = count > 1 && !workers_.empty();
    if (shared) {
      gate_.store(kOpen, std::memory_order_release);
      Announce(static_cast<int>(std::min<int64_t>(count - 1, INT_MAX)));
    }
    RunTiles();
    if (shared) CloseGate();
    running_.store(false);
  }

  int threads() const { return options_.threads; }

 private:
  // Bits of gate_; the bits below count the workers inside.
  static constexpr uint32_t kOpen = 1u << 31;
  static constexpr uint32_t kCallerSleeps = 1u << 30;
  static constexpr uint32_t kInside = kCallerSleeps - 1;

  // Tells workers, of whom at most `wake` are needed, that there is something new to look at.
  // Sequentially consistent against WaitForNews: either it sees the new generation, or we see the
  // sleeper.
  void Announce(int wake) {
    generation_.fetch_add(1);
    if (sleepers_.load() > 0) FutexWake(&generation_, wake);
  }

  // Returns the generation that is no longer `seen`.
  uint32_t WaitForNews(uint32_t seen) {
    const auto news = [&] { return generation_.load() != seen; };
    while (!SpinUntil(news)) {
      sleepers_.fetch_add(1);
      FutexWait(&generation_, seen);
      sleepers_.fetch_sub(1);
    }
    return generation_.load();
  }

  void WorkerLoop() {
    if (options_.idle_priority) {
      const absl::Status status = SetIdlePriority();
      if (!status.ok()) LOG(WARNING) << "a worker keeps its priority: " << status;
    }
    uint32_t seen = 0;
    for (;;) {
      seen = WaitForNews(seen);
      if (stopping_.load()) return;
      if (!EnterGate()) continue;
      RunTiles();
      LeaveGate();
    }
  }

  void RunTiles() {
    for (;;) {
      const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= count_) return;
      if (options_.before_tile) options_.before_tile();
      (*tile_)(i);
    }
  }

  bool EnterGate() {
    uint32_t gate = gate_.load(std::memory_order_relaxed);
    while (gate & kOpen) {
      if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }

  void LeaveGate() {
    const uint32_t before = gate_.fetch_sub(1, std::memory_order_release);
    if ((before & kInside) == 1 && (before & kCallerSleeps)) FutexWake(&gate_, 1);
  }

  void CloseGate() {
    gate_.fetch_and(~kOpen, std::memory_order_relaxed);
    const auto empty = [&] { return (gate_.load(std::memory_order_acquire) & kInside) == 0; };
    if (SpinUntil(empty)) return;
    uint32_t gate = gate_.fetch_or(kCallerSleeps, std::memory_order_acquire) | kCallerSleeps;
    while (gate & kInside) {
      FutexWait(&gate_, gate);
      gate = gate_.load(std::memory_order_acquire);
    }
  }

  const Options options_;
  std::atomic<bool> running_ = false;
  std::atomic<bool> stopping_ = false;

  // The job. Written by the caller while the gate is closed and empty.
  const absl::FunctionRef<void(int64_t)>* tile_ = nullptr;
  int64_t count_ = 0;
  std::atomic<int64_t> next_ = 0;  // The first tile that nobody has claimed.

  Word gate_ = 0;
  Word generation_ = 0;  // Workers sleep on it.
  std::atomic<int> sleepers_ = 0;

  std::vector<std::thread> workers_;  // Last: started when all else is made.
};

WorkerPool::WorkerPool(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}

WorkerPool::~WorkerPool() = default;

void WorkerPool::ParallelFor(int64_t count, absl::FunctionRef<void(int64_t)> tile) {
  impl_->ParallelFor(count, tile);
}

int WorkerPool::threads() const { return impl_->threads(); }

}  // namespace alchemist
