// YieldToServing: before each tile of compute, the trainer looks at one shared word and lets
// serving go first, for a bounded time (DESIGN.md section 4, item 8). ServingWatch points it at the
// page of the server that is attached. BeforeTile: any worker; the rest: the trainer's loop.
#ifndef ALCHEMIST_TRAINER_YIELD_H_
#define ALCHEMIST_TRAINER_YIELD_H_

#include <atomic>

#include "activation_store/control_pages.h"

namespace alchemist {

class YieldToServing {
 public:
  // Returns when serving does not compute, or after kYieldMaxUs.
  void BeforeTile() const;

 private:
  friend class ServingWatch;
  std::atomic<const ServerPage*> page_{nullptr};  // Null while not attached.
};

class ServingWatch {
 public:
  ServingWatch(YieldToServing* yield, const ServerPage* page) : yield_(yield) {
    yield_->page_ = page;
  }
  ~ServingWatch() { yield_->page_ = nullptr; }
  ServingWatch(const ServingWatch&) = delete;
  ServingWatch& operator=(const ServingWatch&) = delete;

 private:
  YieldToServing* const yield_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_YIELD_H_
