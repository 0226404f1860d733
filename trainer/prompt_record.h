// PromptRecord: the activations and K/V of a prompt, wherever they lie: in the server's arena,
// under a lease, or in memory of the trainer's own. What BackwardNode and the response's forward
// read. Views are valid as long as what they came from.
#ifndef ALCHEMIST_TRAINER_PROMPT_RECORD_H_
#define ALCHEMIST_TRAINER_PROMPT_RECORD_H_

#include <cstdint>
#include <vector>

#include "activation_store/reader.h"
#include "activation_store/record.h"
#include "base/status.h"
#include "kernels/attention.h"
#include "model/activation_layout.h"
#include "model/backward.h"
#include "model/own_record.h"
#include "proto/alchemist/v1/link.pb.h"

namespace alchemist {

struct PromptRecord {
  std::vector<LayerPieces> activations;  // [layers + 1]
  std::vector<std::vector<KvRun>> kv;    // [layers], positions 0 .. rows - 1
};

// The link's message as the reader's descriptor.
RecordDescriptor DescriptorOf(const v1::RecordRef& message);

// Maps a leased record of `rows` prompt tokens. InvalidArgument when runs or pages have gaps, a
// tensor of the layout is missing or has other rows than the layout says; also the reader's errors.
absl::StatusOr<PromptRecord> MapServedRecord(const StoreReader& reader,
                                             const RecordDescriptor& descriptor,
                                             const ActivationLayout& layout, int64_t rows);

PromptRecord ViewOwnRecord(const OwnRecord& record, int part);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_PROMPT_RECORD_H_
