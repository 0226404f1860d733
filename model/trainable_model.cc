#include "model/trainable_model.h"

#include <cstring>
#include <utility>

#include "base/logging.h"
#include "model/weight_roles.h"

namespace alchemist {

TrainableModel::TrainableModel(const ModelConfig& config, ParameterSet parameters)
    : parameters_(std::move(parameters)) {
  config_ = config;
  rope_ = std::make_unique<RopeTable>(config.rope, config.head_dim, config.context);
  weights_ = parameters_.weights();
}

absl::StatusOr<std::unique_ptr<TrainableModel>> TrainableModel::Create(const ModelConfig& config,
                                                                       Device& device) {
  ASSIGN_OR_RETURN(ParameterSet parameters, ParameterSet::Create(config, device));
  return std::unique_ptr<TrainableModel>(new TrainableModel(config, std::move(parameters)));
}

void TrainableModel::CopyWeights(const Model& from) {
  ModelWeights source = from.weights();
  const std::vector<WeightRole> roles = WeightRoles(from.config(), source);
  CHECK_EQ(roles.size(), parameters_.tensors().size());
  for (size_t i = 0; i < roles.size(); ++i) {
    const ParameterSet::Named& to = parameters_.tensors()[i];
    CHECK_EQ(roles[i].name, to.name);
    CHECK(roles[i].view->dtype == to.tensor.dtype && roles[i].view->bytes() == to.tensor.bytes())
        << to.name;
    std::memcpy(to.tensor.data, roles[i].view->data, to.tensor.bytes());
  }
}

}  // namespace alchemist
