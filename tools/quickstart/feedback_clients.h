// FeedbackClients: the users who say that an answer is wrong and what would be right, and those who
// ask about it again in other words until the answer is right. Its own threads ask; one other
// thread tells what is served and reads how far they are.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_FEEDBACK_CLIENTS_H_
#define ALCHEMIST_TOOLS_QUICKSTART_FEEDBACK_CLIENTS_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/mutex.h"
#include "base/status.h"
#include "tools/client/alchemist_client.h"
#include "tools/quickstart/client_threads.h"
#include "tools/quickstart/lessons.h"
#include "tools/quickstart/quiz.h"
#include "tools/world/world.h"

namespace alchemist {

class FeedbackClients {
 public:
  // `client` must outlive this.
  FeedbackClients(AlchemistClient* client, const World& world, absl::Span<const Fact> facts,
                  const Pace& pace);

  void Start();
  void Stop() { threads_.Stop(); }
  absl::Status status() const { return threads_.status(); }

  void OnServing(uint64_t revision);
  void OnFeedbackServed(const std::string& feedback_id);

  Lessons::Counts counts() const;
  bool Finished(uint64_t serving) const;
  std::vector<double> SecondsToServed() const;

 private:
  absl::StatusOr<int64_t> CorrectNext();
  absl::Status AskAndTell(int64_t fact, const QuizItem& item);
  absl::StatusOr<int64_t> WatchNext();

  AlchemistClient* const client_;
  std::vector<std::vector<QuizItem>> ask_;    // By fact: every form it is corrected in.
  std::vector<std::vector<QuizItem>> watch_;  // By fact: the forms it may be watched in.
  std::atomic<uint64_t> serving_{0};          // The newest revision anybody heard of.
  mutable Mutex mutex_;                       // All clients learn from one plan.
  Lessons lessons_ ABSL_GUARDED_BY(mutex_);
  ClientThreads threads_;  // Last: it ends before what its turns use.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_FEEDBACK_CLIENTS_H_
