#include "model/backward_scratch.h"

#include "model/tensor_plan.h"

namespace alchemist {

absl::StatusOr<BackwardScratch> BackwardScratch::Create(const ModelConfig& config, DType dtype,
                                                        int64_t rows, int64_t head_rows,
                                                        int64_t trained, Device& device) {
  BackwardScratch s;
  TensorPlan plan;
  const auto gradient = [&](TensorView* view, int64_t rows, int64_t width) {
    plan.Add(view, DType::kF32, rows, width);
  };
  gradient(&s.dx, rows, config.hidden);
  gradient(&s.head_dx, head_rows, config.hidden);
  gradient(&s.unit_gradient, trained, config.hidden);
  plan.Add(&s.normed, dtype, rows, config.hidden);
  gradient(&s.dnormed, rows, config.hidden);
  plan.Add(&s.head_normed, dtype, head_rows, config.hidden);
  gradient(&s.head_dnormed, head_rows, config.hidden);

  const auto head = [&] { plan.Add(&s.targets, dtype, trained, config.hidden); };
  const auto feed_forward = [&] {
    plan.Overlay({[&] { plan.Add(&s.product, dtype, rows, config.ffn); },
                  [&] { gradient(&s.dup, rows, config.ffn); }});
    gradient(&s.dproduct, rows, config.ffn);
  };
  const auto dattention = [&] { gradient(&s.dattention, rows, config.q_width()); };
  const auto embedded = [&] { plan.Add(&s.embedded, dtype, rows, config.hidden); };
  const auto attention = [&] {
    const int64_t rows_before_norm = config.qk_norm ? rows : 0;
    plan.Overlay({[&] { plan.Add(&s.attention, dtype, rows, config.q_width()); },
                  [&] { gradient(&s.dq, rows, config.q_width()); }});
    gradient(&s.dk, rows, config.kv_width());
    gradient(&s.dv, rows, config.kv_width());
    plan.Overlay({[&] { plan.Add(&s.q, dtype, rows_before_norm, config.q_width()); },
                  [&] { gradient(&s.dq_raw, rows_before_norm, config.q_width()); }});
    gradient(&s.dk_raw, rows_before_norm, config.kv_width());
    plan.Overlay({dattention, embedded});
  };
  plan.Overlay({head, feed_forward, attention});
  ASSIGN_OR_RETURN(s.memory, plan.Allocate(device));
  return s;
}

}  // namespace alchemist
