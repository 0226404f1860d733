// StepLog: the last engine steps and how long requests waited for their first one: what serving
// feels like, seen from inside. Bounded; owned by Batcher, on the serving loop's thread.
#ifndef ALCHEMIST_SERVER_STEP_LOG_H_
#define ALCHEMIST_SERVER_STEP_LOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace alchemist {

class StepLog {
 public:
  static constexpr size_t kEntriesMax = 4096;  // Of each kind.

  struct Step {
    int64_t begin_us = 0;  // CLOCK_MONOTONIC.
    int64_t us = 0;
    int64_t decode_rows = 0;
    int64_t prompt_rows = 0;
  };
  struct Wait {
    int64_t end_us = 0;  // When the step with the request's first rows began.
    int64_t us = 0;
  };

  void Add(const Step& step);
  void Add(const Wait& wait);
  // "step <begin_us> <us> <decode_rows> <prompt_rows>" and "wait <end_us> <us>", a line each, the
  // oldest first.
  std::string Text() const;

 private:
  std::deque<Step> steps_;
  std::deque<Wait> waits_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_STEP_LOG_H_
