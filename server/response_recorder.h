// ResponseRecorder: the records of answers (--record=all). Decode rows of several requests run
// together and an answer's come one by one, so that they are copied, layer by layer while they are
// hot, to the record of their request, whose blocks are taken as the answer grows. Without room
// an answer is recorded no further and its record is given up; its prompt's stays. Owned by
// Batcher, on the serving loop's thread.
#ifndef ALCHEMIST_SERVER_RESPONSE_RECORDER_H_
#define ALCHEMIST_SERVER_RESPONSE_RECORDER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "activation_store/record.h"
#include "activation_store/store.h"
#include "model/activation_layout.h"
#include "model/forward.h"
#include "server/sequence.h"

namespace alchemist {

class ResponseRecorder {
 public:
  // A block has as many rows as the answer has already, within these bounds: so a short one takes
  // little, and a long one few blocks.
  static constexpr int64_t kBlockRowsMin = 4;
  static constexpr int64_t kBlockRowsMax = 32;

  // Both must outlive the recorder.
  ResponseRecorder(const ActivationLayout* layout, ActivationStore* store);

  // The record of the prompt is sealed: that of its answer begins.
  void Begin(Sequence& sequence, int64_t now_us);
  // Takes memory for the sequence's last known row, which the next step runs, and which was not run
  // before: a resumed answer's earlier rows are in the record already.
  void MakeRoom(Sequence& sequence);
  // Copies what ForwardLayer(layer) made of one row of each sequence that is recorded: the last row
  // of its span. REQUIRES: MakeRoom for each, and every span of `group` has a head row at its end
  // or none; `sequences` are those of the spans.
  void CopyLayer(int64_t layer, const ForwardGroup& group,
                 absl::Span<Sequence* const> sequences) const;
  // The row was run.
  void RowDone(Sequence& sequence) const;
  // The answer ended by itself: its record is sealed and can be found by what HashBlocks makes of
  // `identity`. Returns its id; 0: there is none.
  uint64_t Seal(Sequence& sequence, const RecordIdentity& identity, int64_t now_us);
  // The request ended in another way.
  void Abort(Sequence& sequence);

 private:
  void CopyPromptRows(const Sequence& sequence, const std::vector<KvPage>& to) const;
  void CopyKv(int64_t layer, const Sequence& sequence) const;
  void CopyTensors(int64_t layer, bool x, const ForwardGroup& group, int64_t row, int64_t head_row,
                   const Sequence& sequence) const;

  const ActivationLayout* const layout_;
  ActivationStore* const store_;
  std::vector<int64_t> first_index_;  // Of each layer's tensors in a block's.
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_RESPONSE_RECORDER_H_
