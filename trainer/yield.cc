#include "trainer/yield.h"

#include <chrono>
#include <cstdint>
#include <thread>

namespace alchemist {
namespace {

constexpr int64_t kYieldMaxUs = 2'000;  // A busy server slows training; it never stops it.
constexpr int64_t kLookAgainUs = 100;

}  // namespace

void YieldToServing::BeforeTile() const {
  const ServerPage* page = page_;
  if (page == nullptr) return;
  for (int64_t waited_us = 0; waited_us < kYieldMaxUs; waited_us += kLookAgainUs) {
    const auto word = static_cast<YieldWord>(page->yield.load(std::memory_order_relaxed));
    if (word == YieldWord::kGoOn) return;
    std::this_thread::sleep_for(std::chrono::microseconds(kLookAgainUs));
  }
}

}  // namespace alchemist
