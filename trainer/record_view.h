// RecordView: the activations and K/V of a prompt or of an answer, wherever they lie: in the
// server's arena, under a lease, or in memory of the trainer's own. What BackwardNode and the
// answer's forward read. Views are valid as long as what they came from.
#ifndef ALCHEMIST_TRAINER_RECORD_VIEW_H_
#define ALCHEMIST_TRAINER_RECORD_VIEW_H_

#include <cstdint>
#include <optional>
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

struct RecordView {
  std::vector<LayerPieces> activations;  // [layers + 1]
  std::vector<std::vector<KvRun>> kv;    // [layers], own rows, by absolute position
};

// What a lease holds.
struct ServedRecord {
  RecordView prompt;
  std::optional<RecordView> response;  // Of all rows of the answer that are run.
};

// The link's message as the reader's descriptor.
RecordDescriptor DescriptorOf(const v1::RecordRef& message);

// Maps a leased record of `prompt_rows` prompt tokens, or of these and `response_rows` tokens of
// the answer to it. InvalidArgument for other numbers of tokens, when runs or pages have gaps, a
// tensor of the layout is missing or has other rows than the layout says; also the reader's errors.
absl::StatusOr<ServedRecord> MapServedRecord(const StoreReader& reader,
                                             const RecordDescriptor& descriptor,
                                             const ActivationLayout& layout, int64_t prompt_rows,
                                             int64_t response_rows);

RecordView ViewOwnRecord(const OwnRecord& record, int part);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_RECORD_VIEW_H_
