#include "model/forward_scratch.h"

#include <utility>

#include "base/logging.h"
#include "model/forward.h"
#include "model/tensor_plan.h"

namespace alchemist {

absl::StatusOr<ForwardScratch> ForwardScratch::Create(const Model& model, int64_t rows_max,
                                                      Device& device) {
  CHECK_GT(rows_max, 0);
  const ModelConfig& config = model.config();
  const DType dtype = model.dtype();
  ForwardScratch scratch;
  scratch.rows_max_ = rows_max;
  scratch.model_ = &model;

  TensorPlan plan;
  Temporaries& t = scratch.temporaries_;
  plan.Add(&t.normed, dtype, rows_max, config.hidden);
  plan.Add(&t.q, dtype, config.qk_norm ? rows_max : 0, config.q_width());
  plan.Add(&t.k, DType::kF32, rows_max, config.kv_width());
  plan.Add(&t.v, DType::kF32, rows_max, config.kv_width());
  plan.Add(&t.sums, DType::kF32, dtype == DType::kF32 ? 0 : rows_max, config.q_width());
  plan.Overlay({[&] {
                  plan.Add(&t.head_x, dtype, rows_max, config.hidden);
                  plan.Add(&t.head_normed, dtype, rows_max, config.hidden);
                },
                [&] { plan.Add(&t.product, dtype, rows_max, config.ffn); }});
  for (const TensorSpec& spec : ForwardTensors(config, dtype, 0)) {
    plan.Add(&Of(scratch.unrecorded_, spec.tensor), spec.dtype, rows_max, spec.width);
  }
  ASSIGN_OR_RETURN(scratch.memory_, plan.Allocate(device));
  return scratch;
}

void ForwardScratch::FillUnrecorded(ForwardGroup& group) const {
  CHECK_LE(group.rows(), rows_max_);
  const ModelConfig& config = model_->config();
  group.activations.resize(config.layers + 1);
  for (int64_t layer = 0; layer <= config.layers; ++layer) {
    for (const TensorSpec& spec : ForwardTensors(config, model_->dtype(), layer)) {
      TensorView& view = Of(group.activations[layer], spec.tensor);
      if (view.data != nullptr) continue;
      view = Of(unrecorded_, spec.tensor)
                 .Rows(0, spec.head_rows_only ? static_cast<int64_t>(group.head_rows.size())
                                              : group.rows());
    }
  }
}

}  // namespace alchemist
