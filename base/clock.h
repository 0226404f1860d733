// Clock: the only way the daemons learn the time, so that tests and the simulator can set it.
#ifndef ALCHEMIST_BASE_CLOCK_H_
#define ALCHEMIST_BASE_CLOCK_H_

#include <atomic>
#include <cstdint>

namespace alchemist {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t MonotonicUs() const = 0;  // CLOCK_MONOTONIC; every deadline and interval uses it.
  virtual int64_t WallUs() const = 0;       // Unix time; only for logs and stored timestamps.

  static Clock* Real();  // Process-wide; never deleted.
};

// A clock that moves only when it is told to. Any thread.
class ManualClock : public Clock {
 public:
  int64_t MonotonicUs() const override { return now_us_; }
  int64_t WallUs() const override { return now_us_; }
  void AdvanceUs(int64_t us) { now_us_ += us; }

 private:
  std::atomic<int64_t> now_us_{1'000'000};
};

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_CLOCK_H_
