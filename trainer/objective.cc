#include "trainer/objective.h"

#include <cstdint>

namespace alchemist {

ObjectiveResult SupervisedObjective(absl::Span<const AnswerLogProbs> answers) {
  ObjectiveResult result;
  for (const AnswerLogProbs& answer : answers) {
    const double tokens = static_cast<double>(answer.log_probs.size());
    double sum = 0;
    for (const float log_prob : answer.log_probs) sum += log_prob;
    result.answer_loss.push_back(-sum / tokens);
    result.loss += -sum / tokens / static_cast<double>(answers.size());
    const double c = 1.0 / (tokens * static_cast<double>(answers.size()));
    result.c.insert(result.c.end(), answer.log_probs.size(), static_cast<float>(c));
  }
  return result;
}

}  // namespace alchemist
