#include "base/clock.h"

#include <chrono>

namespace alchemist {
namespace {

template <typename StdClock>
int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(StdClock::now().time_since_epoch())
      .count();
}

class RealClock : public Clock {
 public:
  int64_t MonotonicUs() const override { return NowUs<std::chrono::steady_clock>(); }
  int64_t WallUs() const override { return NowUs<std::chrono::system_clock>(); }
};

}  // namespace

Clock* Clock::Real() {
  static RealClock clock;
  return &clock;
}

}  // namespace alchemist
