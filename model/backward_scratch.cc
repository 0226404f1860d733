#include "model/backward_scratch.h"

#include "model/tensor_plan.h"

namespace alchemist {

absl::StatusOr<BackwardScratch> BackwardScratch::Create(const ModelConfig& config, DType dtype,
                                                        int64_t rows, int64_t head_rows,
                                                        int64_t trained, Device& device) {
  BackwardScratch s;
  TensorPlan plan;
  plan.Add(&s.dx, dtype, rows, config.hidden);
  plan.Add(&s.head_dx, dtype, head_rows, config.hidden);
  plan.Add(&s.unit_gradient, dtype, trained, config.hidden);
  plan.Add(&s.normed, dtype, rows, config.hidden);
  plan.Add(&s.dnormed, dtype, rows, config.hidden);
  plan.Add(&s.head_normed, dtype, head_rows, config.hidden);
  plan.Add(&s.head_dnormed, dtype, head_rows, config.hidden);

  const auto head = [&] { plan.Add(&s.targets, dtype, trained, config.hidden); };
  const auto feed_forward = [&] {
    plan.Add(&s.product, dtype, rows, config.ffn);
    plan.Add(&s.dproduct, dtype, rows, config.ffn);
  };
  const auto dattention = [&] { plan.Add(&s.dattention, dtype, rows, config.q_width()); };
  const auto embedded = [&] { plan.Add(&s.embedded, dtype, rows, config.hidden); };
  const auto attention = [&] {
    plan.Add(&s.dq, dtype, rows, config.q_width());
    plan.Add(&s.dk, DType::kF32, rows, config.kv_width());
    plan.Add(&s.dv, DType::kF32, rows, config.kv_width());
    plan.Add(&s.q, dtype, config.qk_norm ? rows : 0, config.q_width());
    plan.Add(&s.dk_raw, dtype, config.qk_norm ? rows : 0, config.kv_width());
    plan.Overlay({dattention, embedded});
  };
  plan.Overlay({head, feed_forward, attention});
  ASSIGN_OR_RETURN(s.memory, plan.Allocate(device));
  return s;
}

}  // namespace alchemist
