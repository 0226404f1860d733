// Objectives: pure functions from log-probs and feedback to a loss and the coefficients c_t of
// sum over t of c_t * grad log pi(y_t) (DESIGN.md section 6). The backward pass knows none of this.
#ifndef ALCHEMIST_TRAINER_OBJECTIVE_H_
#define ALCHEMIST_TRAINER_OBJECTIVE_H_

#include <vector>

#include "absl/types/span.h"

namespace alchemist {

// One answer's trained tokens: log-probs at the revision the gradient is taken at.
struct AnswerLogProbs {
  absl::Span<const float> log_probs;
};

struct ObjectiveResult {
  double loss = 0;                  // Of the batch.
  std::vector<double> answer_loss;  // Per answer.
  std::vector<float> c;             // Per trained token, in order: the gradient of -loss.
};

// Supervised fine-tuning: the mean over answers of the mean negative log-likelihood over the
// answer's tokens; new and replayed answers weigh the same. c is constant in log pi, so that the
// log-probs at the record's revision serve.
ObjectiveResult SupervisedObjective(absl::Span<const AnswerLogProbs> answers);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_OBJECTIVE_H_
