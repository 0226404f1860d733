#include "tools/bench/poisson_load.h"

#include <chrono>
#include <cmath>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tools/bench/bench_prompt.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

constexpr char kCorrection[] = "No: it should have said this.";

}  // namespace

std::vector<int64_t> PoissonArrivals(int64_t count, double per_second, uint64_t seed) {
  Random random(seed);
  std::vector<int64_t> arrivals_us;
  double at_us = 0;
  for (int64_t i = 0; i < count; ++i) {
    arrivals_us.push_back(static_cast<int64_t>(at_us));
    at_us += -std::log(1 - random.Uniform()) * 1e6 / per_second;
  }
  return arrivals_us;
}

absl::Status PoissonLoad::Run(const std::vector<int64_t>& arrivals_us) {
  {
    MutexLock lock(&mutex_);
    status_ = absl::OkStatus();
  }
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> requests;
  for (size_t i = 0; i < arrivals_us.size(); ++i) {
    std::this_thread::sleep_until(start + std::chrono::microseconds(arrivals_us[i]));
    requests.emplace_back([this, i] { Keep(AskAndCorrect(i)); });
  }
  for (std::thread& request : requests) request.join();
  MutexLock lock(&mutex_);
  return status_;
}

absl::Status PoissonLoad::AskAndCorrect(uint64_t seed) {
  const std::vector<int32_t> prompt = BenchPrompt(options_.prompt_tokens, options_.vocab, seed);
  ASSIGN_OR_RETURN(const Answer answer,
                   client_->Complete(GreedyRequest(prompt, options_.answer_tokens)));
  return client_
      ->SubmitFeedback(CorrectionOf(answer.final.completion_id(),
                                    absl::StrCat("correction-", corrections_++), kCorrection))
      .status();
}

void PoissonLoad::Keep(const absl::Status& status) {
  MutexLock lock(&mutex_);
  status_.Update(status);
}

}  // namespace alchemist
