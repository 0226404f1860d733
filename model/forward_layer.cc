#include <cstdint>
#include <initializer_list>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/logging.h"
#include "kernels/attention.h"
#include "kernels/copy_rows.h"
#include "kernels/linear.h"
#include "kernels/residual.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "model/forward.h"
#include "model/layer_parts.h"

namespace alchemist {
namespace {

// The rows that a part of a layer works on, packed: all rows of a group, or its head rows alone.
struct ActiveRows {
  std::vector<int32_t> positions;
  std::vector<AdapterRows> spans;  // One per span of the group, perhaps without rows.

  int64_t count() const { return static_cast<int64_t>(positions.size()); }
};

ActiveRows AllRows(const ForwardGroup& group) {
  ActiveRows active;
  active.positions.reserve(group.rows());
  for (const ForwardSpan& span : group.spans) {
    CHECK_EQ(span.first_row, active.count()) << "spans cover the rows in order";
    active.spans.push_back({span.first_row, span.rows, span.adapter});
    for (int64_t i = 0; i < span.rows; ++i) active.positions.push_back(span.first_position + i);
  }
  CHECK_EQ(active.count(), group.rows());
  return active;
}

ActiveRows HeadRows(const ForwardGroup& group) {
  ActiveRows active;
  active.positions.reserve(group.head_rows.size());
  auto next = group.head_rows.begin();
  for (const ForwardSpan& span : group.spans) {
    const int64_t first = active.count();
    for (; next != group.head_rows.end() && *next < span.first_row + span.rows; ++next) {
      active.positions.push_back(span.first_position + *next - span.first_row);
    }
    active.spans.push_back({first, active.count() - first, span.adapter});
  }
  CHECK(next == group.head_rows.end()) << "head row " << *next << " of " << group.rows();
  return active;
}

// One call of ForwardLayer.
class LayerPass {
 public:
  LayerPass(const Model& model, int64_t layer, ForwardGroup& group, ForwardScratch& scratch,
            Stream& stream)
      : model_(model),
        config_(model.config()),
        layer_(layer),
        weights_(model.weights().layers[layer]),
        group_(group),
        t_(scratch.temporaries()),
        stream_(stream),
        all_(AllRows(group)) {}

  void Run() {
    const TensorView x = Activation(ActivationTensor::kX);
    const TensorView normed = t_.normed.Rows(0, all_.count());
    Norm(x, weights_.input_norm, normed);
    const bool last = layer_ == config_.layers - 1;
    if (!last || group_.head_rows.size() == group_.tokens.size()) {
      Project(all_, normed, {Query(), Key(), Value()});
      FinishKv();
      return RunRows(all_, x);
    }
    Project(all_, normed, {Key(), Value()});
    FinishKv();
    if (group_.head_rows.empty()) return;

    const ActiveRows heads = HeadRows(group_);
    const TensorView head_x = t_.head_x.Rows(0, heads.count());
    const TensorView head_normed = t_.head_normed.Rows(0, heads.count());
    GatherRows(x, group_.head_rows, head_x, stream_);
    GatherRows(normed, group_.head_rows, head_normed, stream_);
    Project(heads, head_normed, {Query()});
    RunRows(heads, head_x);
  }

 private:
  // y = a linear of x, with each row's adapter, + residual where there is one.
  struct Projection {
    Linear linear;
    TensorView y;
    ConstTensorView residual = {};
  };

  void Project(const ActiveRows& active, ConstTensorView x,
               std::initializer_list<Projection> projections) {
    absl::InlinedVector<std::vector<LoraSegment>, 3> adapters;
    absl::InlinedVector<LinearOutput, 3> linears;
    adapters.reserve(projections.size());  // Spans of it are taken.
    for (const Projection& each : projections) {
      adapters.push_back(LoraSegments(active.spans, layer_, each.linear));
      linears.push_back({.w = LinearWeight(weights_, each.linear),
                         .adapters = adapters.back(),
                         .residual = each.residual,
                         .y = each.y});
    }
    LinearForward(x, linears, group_.phase, stream_);
  }

  TensorView Activation(ActivationTensor tensor) { return Of(group_.activations[layer_], tensor); }

  void Norm(ConstTensorView x, ConstTensorView gamma, TensorView y) {
    RmsNormForward(x, gamma, config_.norm_epsilon, y, stream_);
  }

  // Where q, k and v come out of their linears. q and k before their norms are what is recorded.
  Projection Query() {
    const TensorView q = Activation(ActivationTensor::kQ);
    return {Linear::kQ, config_.qk_norm ? q : SumsOf(q, t_.sums)};
  }
  Projection Key() {
    return {Linear::kK,
            config_.qk_norm ? Activation(ActivationTensor::kKRaw) : t_.k.Rows(0, all_.count())};
  }
  Projection Value() { return {Linear::kV, t_.v.Rows(0, all_.count())}; }

  // K and V of all rows, to where each span keeps its own; there they are rounded.
  void FinishKv() {
    const TensorView k = t_.k.Rows(0, all_.count());
    const TensorView v = t_.v.Rows(0, all_.count());
    if (config_.qk_norm) Norm(Activation(ActivationTensor::kKRaw), weights_.k_norm, k);
    RopeForward(model_.rope(), all_.positions, k, stream_);

    for (const ForwardSpan& span : group_.spans) {
      int64_t row = span.first_row;
      for (const KvRows& own : span.kv_write[layer_]) {
        CHECK_EQ(own.first_position - span.first_position, row - span.first_row);
        CopyRows(k.Rows(row, own.k.rows), own.k, stream_);
        CopyRows(v.Rows(row, own.v.rows), own.v, stream_);
        row += own.k.rows;
      }
      CHECK_EQ(row, span.first_row + span.rows) << "kv_write covers the span's rows";
    }
  }

  // Everything after the projections to q, k and v, for `active` rows.
  void RunRows(const ActiveRows& active, ConstTensorView x) {
    Attend(active);
    const TensorView h = Activation(ActivationTensor::kH);
    Project(active, Activation(ActivationTensor::kAttention), {{Linear::kO, h, x}});
    FeedForward(active, h);
  }

  // q after rope, rounded.
  TensorView FinishQuery(const ActiveRows& active) {
    const TensorView projected = Query().y;
    const TensorView q =
        config_.qk_norm ? t_.q.Rows(0, active.count()) : Activation(ActivationTensor::kQ);
    const TensorView sums = SumsOf(q, t_.sums);
    if (config_.qk_norm) Norm(projected, weights_.q_norm, sums);
    RopeForward(model_.rope(), active.positions, sums, stream_);
    StoreSums(sums, q, stream_);
    return q;
  }

  void Attend(const ActiveRows& active) {
    const TensorView q = FinishQuery(active);
    std::vector<AttentionSpan> spans;
    const absl::Span<const int32_t> positions = active.positions;
    for (size_t i = 0; i < active.spans.size(); ++i) {
      const AdapterRows& rows = active.spans[i];
      if (rows.rows == 0) continue;
      spans.push_back({rows.first_row, positions.subspan(rows.first_row, rows.rows),
                       group_.spans[i].kv[layer_]});
    }
    AttentionForward(AttentionShapeOf(config_), spans, q, Activation(ActivationTensor::kAttention),
                     Activation(ActivationTensor::kLse), group_.phase, stream_);
  }

  void FeedForward(const ActiveRows& active, ConstTensorView h) {
    const TensorView normed = t_.normed.Rows(0, active.count());
    const TensorView gate = Activation(ActivationTensor::kGate);
    const TensorView up = Activation(ActivationTensor::kUp);
    const TensorView product = t_.product.Rows(0, active.count());
    const TensorView next_x = Of(group_.activations[layer_ + 1], ActivationTensor::kX);
    Norm(h, weights_.ffn_norm, normed);
    Project(active, normed, {{Linear::kGate, gate}, {Linear::kUp, up}});
    SwigluForward(gate, up, product, stream_);
    Project(active, product, {{Linear::kDown, next_x, h}});
  }

  const Model& model_;
  const ModelConfig& config_;
  const int64_t layer_;
  const LayerWeights& weights_;
  ForwardGroup& group_;
  const ForwardScratch::Temporaries& t_;
  Stream& stream_;
  const ActiveRows all_;
};

}  // namespace

void ForwardLayer(const Model& model, int64_t layer, ForwardGroup& group, ForwardScratch& scratch,
                  Stream& stream) {
  CHECK_LE(group.rows(), scratch.rows_max());
  LayerPass(model, layer, group, scratch, stream).Run();
}

}  // namespace alchemist
