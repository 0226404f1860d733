// Gradients of steps as files, so that those of an attached trainer can be compared with those of
// one that never attached (DESIGN.md section 15, item 14):
//
//   <dir>/step-<n>.items.jsonl           the batch's items in order, FeedbackItem as JSON, a line
//   each;
//                                        record.revision names the weights the item was computed at
//   <dir>/adapters/<digest>/             those weights, PEFT directories
//   <dir>/step-<n>.gradients.safetensors the batch's gradient
#ifndef ALCHEMIST_TRAINER_GRADIENT_DUMP_H_
#define ALCHEMIST_TRAINER_GRADIENT_DUMP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/adapter_gradients.h"
#include "model/lora_adapter.h"
#include "proto/alchemist/v1/identity.pb.h"
#include "trainer/training_item.h"

namespace alchemist {

struct DumpedItem {
  const TrainingItem* item = nullptr;
  const LoraAdapter* adapter = nullptr;
};

absl::Status DumpGradients(const std::string& directory, int64_t step,
                           const std::vector<DumpedItem>& items, const v1::Base& base,
                           AdapterGradients& gradients);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_GRADIENT_DUMP_H_
