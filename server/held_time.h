// HeldTime: for how long, since the start, something was the case. A value; its owner's thread.
#ifndef ALCHEMIST_SERVER_HELD_TIME_H_
#define ALCHEMIST_SERVER_HELD_TIME_H_

#include <cstdint>

namespace alchemist {

class HeldTime {
 public:
  // From `now_us` on it is the case, or is not. REQUIRES: time does not run back.
  void Set(bool is_held, int64_t now_us) {
    if (is_held == is_held_) return;
    if (is_held_) total_us_ += now_us - since_us_;
    is_held_ = is_held;
    since_us_ = now_us;
  }
  bool is_held() const { return is_held_; }
  int64_t TotalUs(int64_t now_us) const { return total_us_ + (is_held_ ? now_us - since_us_ : 0); }

 private:
  bool is_held_ = false;
  int64_t since_us_ = 0;
  int64_t total_us_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_HELD_TIME_H_
