#include "tools/quickstart/traffic.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/logging.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int kClients = 2;
constexpr size_t kRecent = 40;

}  // namespace

Traffic::Traffic(AlchemistClient* client, std::vector<QuizItem> quiz, double questions_per_second)
    : client_(client),
      quiz_(std::move(quiz)),
      interval_us_(static_cast<int64_t>(1e6 * kClients / questions_per_second)) {
  CHECK(!quiz_.empty());
}

void Traffic::Start() {
  threads_.Start(kClients, [this] { return AskNext(); });
}

absl::StatusOr<int64_t> Traffic::AskNext() {
  const Clock& clock = *Clock::Real();
  const int64_t begin_us = clock.MonotonicUs();
  ASSIGN_OR_RETURN(const Reply reply, Ask(*client_, quiz_[next_++ % quiz_.size()]));
  {
    MutexLock lock(&mutex_);
    latencies_.ttft_ms.push_back(reply.ttft_ms);
    if (reply.ms_per_token) latencies_.ms_per_token.push_back(*reply.ms_per_token);
    recent_ttft_ms_.push_back(reply.ttft_ms);
    if (recent_ttft_ms_.size() > kRecent) recent_ttft_ms_.pop_front();
  }
  // A slow answer is not made up for: this client asks at most once an interval.
  return std::max<int64_t>(0, begin_us + interval_us_ - clock.MonotonicUs());
}

Latencies Traffic::TakeLatencies() {
  MutexLock lock(&mutex_);
  return std::exchange(latencies_, {});
}

double Traffic::recent_ttft_ms() const {
  MutexLock lock(&mutex_);
  return Percentile({recent_ttft_ms_.begin(), recent_ttft_ms_.end()}, 0.5);
}

}  // namespace alchemist
