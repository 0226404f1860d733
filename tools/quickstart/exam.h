// Exam: asks every question of a quiz once, several at a time, and counts the right answers. Its
// own threads ask; one thread starts it, looks at it and reads the result.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_EXAM_H_
#define ALCHEMIST_TOOLS_QUICKSTART_EXAM_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "tools/client/alchemist_client.h"
#include "tools/quickstart/client_threads.h"
#include "tools/quickstart/quiz.h"
#include "tools/quickstart/run_result.h"

namespace alchemist {

class Exam {
 public:
  // Every answer must be of `revision`. `client` must outlive the exam.
  Exam(AlchemistClient* client, std::vector<QuizItem> quiz, uint64_t revision);

  // Begins to ask.
  void Start();
  bool ended() const { return threads_.ended(); }
  Score score() const { return {.right = right_, .asked = asked_}; }  // So far.
  absl::Status status() const { return threads_.status(); }

 private:
  absl::StatusOr<int64_t> AskNext();

  AlchemistClient* const client_;
  const std::vector<QuizItem> quiz_;
  const uint64_t revision_;
  std::atomic<size_t> next_{0};
  std::atomic<int64_t> asked_{0};
  std::atomic<int64_t> right_{0};
  ClientThreads threads_;  // Last: it ends before what its turns use.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_EXAM_H_
