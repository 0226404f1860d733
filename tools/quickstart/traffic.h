// Traffic: the clients who keep asking while others correct: each asks, and after a while asks
// again, whether or not training runs. What they feel of the server is what is measured. Its own
// threads ask; any thread reads.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_TRAFFIC_H_
#define ALCHEMIST_TOOLS_QUICKSTART_TRAFFIC_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "tools/client/alchemist_client.h"
#include "tools/quickstart/client_threads.h"
#include "tools/quickstart/quiz.h"

namespace alchemist {

// One value per answer, but no ms_per_token for an answer of one token.
struct Latencies {
  std::vector<double> ttft_ms;
  std::vector<double> ms_per_token;
};

class Traffic {
 public:
  // Asks `quiz` in its order, again and again, `questions_per_second` in all. REQUIRES: it has
  // questions. `client` must outlive the traffic.
  Traffic(AlchemistClient* client, std::vector<QuizItem> quiz, double questions_per_second);

  void Start();
  void Stop() { threads_.Stop(); }
  // What was measured since the last call.
  Latencies TakeLatencies();
  double recent_ttft_ms() const;  // The median of the last answers; infinity before any.
  int64_t asked() const { return static_cast<int64_t>(next_); }
  absl::Status status() const { return threads_.status(); }

 private:
  absl::StatusOr<int64_t> AskNext();

  AlchemistClient* const client_;
  const std::vector<QuizItem> quiz_;
  const int64_t interval_us_;  // Of one client.
  std::atomic<size_t> next_{0};
  mutable Mutex mutex_;  // The clients add to what one reader takes.
  Latencies latencies_ ABSL_GUARDED_BY(mutex_);
  std::deque<double> recent_ttft_ms_ ABSL_GUARDED_BY(mutex_);
  ClientThreads threads_;  // Last: it ends before what its turns use.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_TRAFFIC_H_
