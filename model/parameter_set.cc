#include "model/parameter_set.h"

#include <cstddef>

#include "base/logging.h"
#include "model/tensor_plan.h"
#include "model/weight_roles.h"

namespace alchemist {

absl::StatusOr<ParameterSet> ParameterSet::Create(const ModelConfig& config, Device& device) {
  ParameterSet set;
  const std::vector<WeightRole> roles = WeightRoles(config, set.weights_);
  set.tensors_.resize(roles.size());
  TensorPlan plan;
  for (size_t i = 0; i < roles.size(); ++i) {
    set.tensors_[i].name = roles[i].name;
    plan.Add(&set.tensors_[i].tensor, DType::kF32, roles[i].rows(), roles[i].width());
  }
  ASSIGN_OR_RETURN(set.memory_, plan.Allocate(device));
  for (size_t i = 0; i < roles.size(); ++i) *roles[i].view = set.tensors_[i].tensor;
  if (config.tied_head) set.weights_.head.values = set.weights_.embedding;
  return set;
}

TensorView ParameterSet::Writable(ConstTensorView view) {
  if (view.data == nullptr) return TensorView();
  const std::byte* const begin = static_cast<const std::byte*>(memory_.data());
  const std::byte* const data = static_cast<const std::byte*>(view.data);
  CHECK(data >= begin && data + view.bytes() <= begin + memory_.bytes()) << "not of this set";
  return {const_cast<void*>(view.data), view.rows, view.width, view.dtype};
}

}  // namespace alchemist
