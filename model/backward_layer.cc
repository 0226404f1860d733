#include "model/backward_layer.h"

#include <utility>
#include <vector>

#include "kernels/attention.h"
#include "kernels/copy_rows.h"
#include "kernels/embedding.h"
#include "kernels/residual.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "model/kv_chain.h"

namespace alchemist {
namespace {

// The nodes from the root to `node`.
std::vector<int> PathTo(const std::vector<BackwardNode>& nodes, int node) {
  std::vector<int> path;
  for (; node >= 0; node = nodes[node].parent) path.insert(path.begin(), node);
  return path;
}

// The K/V that one node's rows see in a layer, and where the gradients of these rows are summed.
struct NodeKv {
  std::vector<KvRun> kv;
  std::vector<KvGradRun> grad;
};

NodeKv KvOf(const PackedRows& rows, int64_t layer, int node, TensorView dk, TensorView dv) {
  const std::vector<BackwardNode>& nodes = rows.nodes();
  const std::vector<int> path = PathTo(nodes, node);
  NodeKv chain;
  for (size_t i = 0; i < path.size(); ++i) {
    const BackwardNode& part = nodes[path[i]];
    const int64_t end =
        i + 1 < path.size() ? nodes[path[i + 1]].first_position : part.first_position + part.rows();
    const size_t first_run = chain.kv.size();
    AppendKvBefore(part.kv[layer], end, chain.kv);
    for (size_t j = first_run; j < chain.kv.size(); ++j) {
      const KvRun& run = chain.kv[j];
      const int64_t row =
          rows.all().nodes[path[i]].first_row + run.first_position - part.first_position;
      chain.grad.push_back(
          {dk.Rows(row, run.k.rows), dv.Rows(row, run.k.rows), run.first_position});
    }
  }
  return chain;
}

}  // namespace

LayerBackward::LayerBackward(const BackwardBatch& batch, int64_t layer)
    : batch_(batch),
      config_(batch.model.config()),
      weights_(batch.model.weights().layers[layer]),
      s_(batch.scratch),
      layer_(layer),
      last_(layer == batch.model.config().layers - 1),
      active_(last_ ? batch.rows.heads() : batch.rows.all()),
      linears_(batch.model, batch.options, batch.stream) {}

void LayerBackward::Run() {
  const TensorView dh = last_ ? s_.head_dx : s_.dx;
  FeedForward(dh);
  Attention(dh);
  Qkv(dh);
}

void LayerBackward::Norm(const RowPieces& x, ConstTensorView gamma, TensorView y) const {
  RmsNormForward(x, gamma, config_.norm_epsilon, y, batch_.stream);
}

void LayerBackward::NormGradient(const RowPieces& x, ConstTensorView LayerWeights::*gamma,
                                 ConstTensorView dy, TensorView dx, Accumulate accumulate) const {
  ParameterSet* const full = batch_.options.full_gradients;
  TensorView dgamma;
  if (full != nullptr) dgamma = full->Writable(full->weights().layers[layer_].*gamma);
  RmsNormBackward(x, weights_.*gamma, config_.norm_epsilon, dy, dx, accumulate, dgamma,
                  batch_.stream);
}

void LayerBackward::FeedForward(TensorView dh) const {
  const RowPieces gate = Activation(ActivationTensor::kGate);
  const RowPieces up = Activation(ActivationTensor::kUp);
  const TensorView product = s_.product.Rows(0, active_.rows());
  const TensorView dproduct = s_.dproduct.Rows(0, active_.rows());
  if (linears_.NeedInput(layer_, {Linear::kDown}, active_)) {
    SwigluForward(gate, up, product, batch_.stream);
  }
  linears_.Run(layer_, Linear::kDown, active_, product, dh, dproduct, Accumulate::kNo);
  const TensorView dgate = dproduct;
  const TensorView dup = s_.dup.Rows(0, active_.rows());
  SwigluBackward(gate, up, dproduct, dgate, dup, batch_.stream);

  const RowPieces h = Activation(ActivationTensor::kH);
  const TensorView normed = s_.normed.Rows(0, active_.rows());
  const TensorView dnormed = s_.dnormed.Rows(0, active_.rows());
  if (linears_.NeedInput(layer_, {Linear::kGate, Linear::kUp}, active_)) {
    Norm(h, weights_.ffn_norm, normed);
  }
  linears_.Run(layer_, Linear::kGate, active_, normed, dgate, dnormed, Accumulate::kNo);
  linears_.Run(layer_, Linear::kUp, active_, normed, dup, dnormed, Accumulate::kYes);
  NormGradient(h, &LayerWeights::ffn_norm, dnormed, dh, Accumulate::kYes);
}

void LayerBackward::Attention(ConstTensorView dh) const {
  const TensorView dattention = s_.dattention.Rows(0, active_.rows());
  const TensorView dq = s_.dq.Rows(0, active_.rows());
  const TensorView attention = s_.attention.Rows(0, active_.rows());
  if (linears_.NeedInput(layer_, {Linear::kO}, active_)) {
    CopyRows(Activation(ActivationTensor::kAttention), attention, batch_.stream);
  }
  linears_.Run(layer_, Linear::kO, active_, attention, dh, dattention, Accumulate::kNo);
  AttentionScores(dattention);

  RopeBackward(batch_.model.rope(), active_.positions, dq, batch_.stream);
  RopeBackward(batch_.model.rope(), batch_.rows.all().positions, s_.dk, batch_.stream);
  if (!config_.qk_norm) return;
  NormGradient(Activation(ActivationTensor::kQ), &LayerWeights::q_norm, dq, LinearDq(),
               Accumulate::kNo);
  NormGradient(Activation(ActivationTensor::kKRaw), &LayerWeights::k_norm, s_.dk, LinearDk(),
               Accumulate::kNo);
}

void LayerBackward::AttentionScores(ConstTensorView dattention) const {
  RowPieces q = Activation(ActivationTensor::kQ);
  if (config_.qk_norm) {  // Before the norm is what is recorded.
    const TensorView q_rotated = s_.q.Rows(0, active_.rows());
    const TensorView sums = SumsOf(q_rotated, s_.dq);
    Norm(q, weights_.q_norm, sums);
    RopeForward(batch_.model.rope(), active_.positions, sums, batch_.stream);
    StoreSums(sums, q_rotated, batch_.stream);
    q = q_rotated;
  }
  SetZero(s_.dk, batch_.stream);
  SetZero(s_.dv, batch_.stream);
  std::vector<NodeKv> chains;  // The spans point into these.
  chains.reserve(active_.nodes.size());
  std::vector<AttentionGradSpan> spans;
  const absl::Span<const int32_t> positions = active_.positions;
  for (size_t node = 0; node < active_.nodes.size(); ++node) {
    const AdapterRows& part = active_.nodes[node];
    if (part.rows == 0) continue;
    chains.push_back(KvOf(batch_.rows, layer_, static_cast<int>(node), s_.dk, s_.dv));
    spans.push_back({part.first_row, positions.subspan(part.first_row, part.rows), chains.back().kv,
                     chains.back().grad});
  }
  AttentionBackward(AttentionShapeOf(config_), spans, q, Activation(ActivationTensor::kAttention),
                    Activation(ActivationTensor::kLse), dattention, s_.dq.Rows(0, active_.rows()),
                    batch_.stream);
}

void LayerBackward::Qkv(TensorView dh) const {
  const RowPacking& all = batch_.rows.all();
  const RowPieces x = Input();
  if (linears_.NeedInput(layer_, {Linear::kQ, Linear::kK, Linear::kV}, all)) {
    Norm(x, weights_.input_norm, s_.normed);
  }
  const bool dx_wanted =
      layer_ > batch_.options.lowest_trained_layer || batch_.options.full_gradients != nullptr;
  const TensorView dnormed = dx_wanted ? s_.dnormed : TensorView();
  linears_.Run(layer_, Linear::kK, all, s_.normed, LinearDk(), dnormed, Accumulate::kNo);
  linears_.Run(layer_, Linear::kV, all, s_.normed, s_.dv, dnormed, Accumulate::kYes);
  if (last_) {
    HeadQ(s_.normed, dnormed);
  } else {
    linears_.Run(layer_, Linear::kQ, all, s_.normed, LinearDq(), dnormed, Accumulate::kYes);
  }
  if (!dx_wanted) return;
  if (last_) {
    SetZero(s_.dx, batch_.stream);
    ScatterAddRows(dh, batch_.rows.head_rows(), s_.dx, batch_.stream);
  }
  NormGradient(x, &LayerWeights::input_norm, dnormed, s_.dx, Accumulate::kYes);
}

void LayerBackward::HeadQ(ConstTensorView normed, TensorView dnormed) const {
  if (linears_.NeedInput(layer_, {Linear::kQ}, active_)) {
    GatherRows(normed, batch_.rows.head_rows(), s_.head_normed, batch_.stream);
  }
  const bool dx_wanted = dnormed.data != nullptr;
  linears_.Run(layer_, Linear::kQ, active_, s_.head_normed, LinearDq(),
               dx_wanted ? s_.head_dnormed : TensorView(), Accumulate::kNo);
  if (dx_wanted) {
    ScatterAddRows(s_.head_dnormed, batch_.rows.head_rows(), dnormed, batch_.stream);
  }
}

RowPieces LayerBackward::Input() const {
  if (layer_ > 0) return Activation(ActivationTensor::kX);
  EmbeddingForward(batch_.rows.tokens(), batch_.model.weights().embedding, s_.embedded,
                   batch_.stream);
  return s_.embedded;
}

}  // namespace alchemist
