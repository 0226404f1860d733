// TrainingItem: something to train on, checked against the model. Plain value, owned by ItemPool.
#ifndef ALCHEMIST_TRAINER_TRAINING_ITEM_H_
#define ALCHEMIST_TRAINER_TRAINING_ITEM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "proto/alchemist/v1/link.pb.h"

namespace alchemist {

struct RevisionName {
  std::string adapter_id;
  uint64_t number = 0;
  std::string digest;
};

struct TrainingItem {
  bool replay = false;
  bool is_correction = false;
  std::string item_id;  // The feedback id; of a replay, the completion id.
  std::string completion_id;
  RevisionName behaviour;  // Sampled the answer, and made its record.
  RevisionName reference;
  std::vector<int32_t> prompt_tokens;
  std::vector<int32_t> response_tokens;  // Exactly what is trained; the last one is never run.
  std::vector<float> behaviour_log_probs;

  int64_t prompt_rows() const { return static_cast<int64_t>(prompt_tokens.size()); }
  int64_t tokens() const { return prompt_rows() + static_cast<int64_t>(response_tokens.size()); }
  // The rows of the response that are run: its last token only is a target.
  int64_t response_rows() const { return static_cast<int64_t>(response_tokens.size()) - 1; }
};

// Of an item, for the log: "feedback fb-... on completion cmpl-... revision 3", or "replayed
// completion cmpl-... revision 3". The revision is that of the answer. Pure.
std::string ItemLogId(const TrainingItem& item);

// InvalidArgument naming the item and the field: empty or too long for the context, tokens outside
// the vocabulary, another base or tokenizer. What the server sends is checked like any other input.
absl::StatusOr<TrainingItem> ParseItem(const v1::FeedbackItem& message, const ModelConfig& model,
                                       const v1::Base& base);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_TRAINING_ITEM_H_
