#include "tools/pretrain/full_gradient.h"

#include <cstring>
#include <utility>

#include "base/logging.h"
#include "model/backward.h"
#include "model/forward.h"

namespace alchemist {
namespace {

std::vector<OwnRecord::Part> PartsOf(absl::Span<const TokenSequence* const> batch) {
  std::vector<OwnRecord::Part> parts;
  for (const TokenSequence* sequence : batch) {
    OwnRecord::Part& part = parts.emplace_back();
    part.rows = sequence->rows();
    for (int64_t target = sequence->first_trained; target <= part.rows; ++target) {
      part.head_rows.push_back(static_cast<int32_t>(target - 1));
    }
  }
  return parts;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FullGradient>> FullGradient::Create(const Model* model,
                                                                   int64_t rows_max, Device* device,
                                                                   Stream* stream) {
  ASSIGN_OR_RETURN(ForwardScratch scratch, ForwardScratch::Create(*model, rows_max, *device));
  return std::unique_ptr<FullGradient>(new FullGradient(model, device, stream, std::move(scratch)));
}

FullGradient::FullGradient(const Model* model, Device* device, Stream* stream,
                           ForwardScratch scratch)
    : model_(model),
      device_(device),
      stream_(stream),
      layout_(model->config(), model->dtype(), /*lowest_trained_layer=*/0),
      scratch_(std::move(scratch)) {}

absl::StatusOr<FullGradient::Loss> FullGradient::Compute(
    absl::Span<const TokenSequence* const> batch, ParameterSet& ascent) {
  CHECK(!batch.empty());
  const std::vector<OwnRecord::Part> parts = PartsOf(batch);
  ASSIGN_OR_RETURN(const std::unique_ptr<OwnRecord> record,
                   OwnRecord::Create(layout_, parts, *device_));
  Forward(batch, *record);
  std::vector<BackwardNode> nodes;
  std::vector<TrainedToken> trained;
  for (int i = 0; i < static_cast<int>(batch.size()); ++i) {
    const TokenSequence& sequence = *batch[i];
    BackwardNode& node = nodes.emplace_back();
    node.tokens.assign(sequence.tokens.begin(), sequence.tokens.end() - 1);
    node.activations = record->Pieces(i);
    node.kv = record->Kv(i);
    node.head_rows = parts[i].head_rows;
    for (int64_t row = 0; row < sequence.trained(); ++row) {
      trained.push_back({i, row, sequence.tokens[sequence.first_trained + row]});
    }
  }
  for (const ParameterSet::Named& gradient : ascent.tensors()) {
    std::memset(gradient.tensor.data, 0, gradient.tensor.bytes());
  }
  BackwardOptions options;
  options.full_gradients = &ascent;
  ASSIGN_OR_RETURN(
      const std::unique_ptr<BackwardPass> pass,
      BackwardPass::Create(*model_, nodes, trained, std::move(options), *device_, *stream_));
  Loss loss;
  loss.tokens = static_cast<int64_t>(trained.size());
  pass->Run(std::vector<float>(trained.size(), 1.0f / static_cast<float>(loss.tokens)));
  for (const float log_prob : pass->LogProbs()) loss.sum -= log_prob;
  return loss;
}

void FullGradient::Forward(absl::Span<const TokenSequence* const> batch, OwnRecord& record) {
  ForwardGroup group;
  for (int i = 0; i < static_cast<int>(batch.size()); ++i) {
    ForwardSpan& span = group.spans.emplace_back();
    span.first_row = group.rows();
    span.rows = batch[i]->rows();
    span.kv = record.Kv(i);
    span.kv_write = record.KvWrite(i, 0, span.rows);
    group.tokens.insert(group.tokens.end(), batch[i]->tokens.begin(), batch[i]->tokens.end() - 1);
  }
  CHECK_LE(group.rows(), scratch_.rows_max());
  group.head_rows = record.HeadRows(0, group.rows());
  group.activations = record.Activations(0, group.rows());
  scratch_.FillUnrecorded(group);
  ForwardEmbedding(*model_, group, *stream_);
  for (int64_t layer = 0; layer < layout_.layers(); ++layer) {
    ForwardLayer(*model_, layer, group, scratch_, *stream_);
  }
}

}  // namespace alchemist
