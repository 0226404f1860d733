// TrainableModel: a model whose weights can be written, for offline full-parameter training. Owned
// by the offline trainer; no pass may run over it while weights are written.
#ifndef ALCHEMIST_MODEL_TRAINABLE_MODEL_H_
#define ALCHEMIST_MODEL_TRAINABLE_MODEL_H_

#include <memory>

#include "base/status.h"
#include "kernels/device.h"
#include "model/config.h"
#include "model/model.h"
#include "model/parameter_set.h"

namespace alchemist {

class TrainableModel : public Model {
 public:
  // All weights are 0 at first. ResourceExhausted when the device has no room.
  static absl::StatusOr<std::unique_ptr<TrainableModel>> Create(const ModelConfig& config,
                                                                Device& device);

  // The memory behind weights().
  ParameterSet& parameters() { return parameters_; }
  // REQUIRES: `from` has the same config.
  void CopyWeights(const Model& from);

  const SharedMemory* converted() const override { return nullptr; }

 private:
  TrainableModel(const ModelConfig& config, ParameterSet parameters);

  ParameterSet parameters_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TRAINABLE_MODEL_H_
