#include "server/response_recorder.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"
#include "kernels/streaming_copy.h"
#include "server/sequence_kv.h"

namespace alchemist {
namespace {

// The position of the row that MakeRoom makes room for.
int64_t NextPosition(const Sequence& sequence) {
  return sequence.prompt_rows() + sequence.response.rows;
}

}  // namespace

ResponseRecorder::ResponseRecorder(const ActivationLayout* layout, ActivationStore* store)
    : layout_(layout), store_(store) {
  int64_t index = 0;
  for (int64_t layer = 0; layer <= layout->layers(); ++layer) {
    first_index_.push_back(index);
    index += static_cast<int64_t>(layout->layer(layer).size());
  }
}

void ResponseRecorder::Begin(Sequence& sequence, int64_t now_us) {
  sequence.response = {.record_id = store_->BeginResponse(sequence.record_id, now_us)};
}

void ResponseRecorder::MakeRoom(Sequence& sequence) {
  ResponseRecording& response = sequence.response;
  if (response.record_id == 0) return;
  const int64_t position = NextPosition(sequence);
  CHECK_EQ(position, sequence.tokens() - 1);
  if (response.rows == response.block_end) {
    const int64_t rows = std::clamp(response.rows, kBlockRowsMin, kBlockRowsMax);
    response.block = store_->AppendBlock({{response.record_id, position, rows, rows}});
    if (response.block == nullptr) return Abort(sequence);
    response.block_begin = response.rows;
    response.block_end = response.rows + rows;
  }
  if (response.rows == 0 || position % kKvPageTokens == 0) {
    if (!store_->AppendKvPages(response.record_id, position + 1)) return Abort(sequence);
    response.kv_page = store_->KvOf(response.record_id, position + 1).back().layers;
    if (response.rows == 0) CopyPromptRows(sequence, *response.kv_page);
  }
}

// The prompt's rows in the page in which the answer begins.
void ResponseRecorder::CopyPromptRows(const Sequence& sequence,
                                      const std::vector<KvPage>& to) const {
  const int64_t page = sequence.prompt_rows() / kKvPageTokens;
  const int64_t rows = sequence.prompt_rows() % kKvPageTokens;
  if (rows == 0) return;
  for (int64_t layer = 0; layer < layout_->layers(); ++layer) {
    CopyKvRows(sequence.kv.runs()[layer][page], 0, rows, store_->data() + to[layer].offset);
  }
}

void ResponseRecorder::CopyLayer(int64_t layer, const ForwardGroup& group,
                                 absl::Span<Sequence* const> sequences) const {
  CHECK_EQ(sequences.size(), group.spans.size());
  int64_t head_row = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int64_t row = group.spans[i].first_row + group.spans[i].rows - 1;
    if (head_row == static_cast<int64_t>(group.head_rows.size())) break;
    if (group.head_rows[head_row] != row) continue;  // Resumed, and not yet at its end.
    if (sequences[i]->response.record_id != 0) {
      CopyKv(layer, *sequences[i]);
      CopyTensors(layer, /*x=*/false, group, row, head_row, *sequences[i]);
      CopyTensors(layer + 1, /*x=*/true, group, row, head_row, *sequences[i]);
    }
    ++head_row;
  }
  FinishStreamingCopies();
}

void ResponseRecorder::CopyKv(int64_t layer, const Sequence& sequence) const {
  const int64_t position = NextPosition(sequence);
  CopyKvRows(sequence.kv.runs()[layer][position / kKvPageTokens], position % kKvPageTokens, 1,
             store_->data() + (*sequence.response.kv_page)[layer].offset);
}

// The tensors of entry `layer`: x alone, or all but x. The next layer may write its x over this
// one's, so that x is copied when it is made.
void ResponseRecorder::CopyTensors(int64_t layer, bool x, const ForwardGroup& group, int64_t row,
                                   int64_t head_row, const Sequence& sequence) const {
  const std::vector<TensorSpec>& specs = layout_->layer(layer);
  for (size_t i = 0; i < specs.size(); ++i) {
    const TensorSpec& spec = specs[i];
    if ((spec.tensor == ActivationTensor::kX) != x) continue;
    const int64_t bytes = spec.width * BytesPerElement(spec.dtype);
    const int64_t offset =
        *sequence.response.block->Offset(first_index_[layer] + static_cast<int64_t>(i));
    const TensorView& from = Of(group.activations[layer], spec.tensor);
    const int64_t from_row = spec.head_rows_only ? head_row : row;
    CHECK_LT(from_row, from.rows) << "layer " << layer;
    StreamingCopy(
        static_cast<const std::byte*>(from.data) + from_row * bytes, bytes,
        store_->data() + offset + (sequence.response.rows - sequence.response.block_begin) * bytes);
  }
}

void ResponseRecorder::RowDone(Sequence& sequence) const {
  if (sequence.response.record_id != 0) ++sequence.response.rows;
}

uint64_t ResponseRecorder::Seal(Sequence& sequence, const RecordIdentity& identity,
                                int64_t now_us) {
  if (sequence.response.rows == 0) Abort(sequence);
  const ResponseRecording response = std::exchange(sequence.response, {});
  if (response.record_id == 0) return 0;
  std::vector<int32_t> tokens = sequence.request.prompt_tokens;
  tokens.insert(tokens.end(), sequence.output.begin(), sequence.output.begin() + response.rows);
  const int64_t count = static_cast<int64_t>(tokens.size());
  store_->Seal(response.record_id, count, HashBlocks(identity, tokens));
  store_->Unpin(response.record_id, now_us);
  return response.record_id;
}

void ResponseRecorder::Abort(Sequence& sequence) {
  const uint64_t record_id = std::exchange(sequence.response, {}).record_id;
  if (record_id != 0) store_->Abort(record_id);
}

}  // namespace alchemist
