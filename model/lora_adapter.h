// LoraAdapter: one state of an adapter's weights, f32 (master weights). A published revision is
// shared as shared_ptr<const LoraAdapter> by whoever pins it; the trainer owns the one it updates.
#ifndef ALCHEMIST_MODEL_LORA_ADAPTER_H_
#define ALCHEMIST_MODEL_LORA_ADAPTER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/lora.h"
#include "model/config.h"
#include "model/linear.h"
#include "model/lora_config.h"

namespace alchemist {

class LoraAdapter {
 public:
  // A is normal with standard deviation 1 / rank (PEFT's "gaussian"), seeded; B = 0: the base
  // model's function (revision 0). InvalidArgument when CheckLoraConfig says so.
  static absl::StatusOr<std::unique_ptr<LoraAdapter>> Create(const ModelConfig& model,
                                                             const LoraConfig& config,
                                                             uint64_t seed);
  // A PEFT directory: adapter_config.json and adapter_model.safetensors. Shapes are checked against
  // `model`, values for finiteness; errors name file, tensor and field. Nothing is half loaded.
  static absl::StatusOr<std::unique_ptr<LoraAdapter>> Load(const std::string& directory,
                                                           const ModelConfig& model);
  // Writes and syncs a new PEFT directory (f32, PEFT's key names). AlreadyExists when it is there;
  // after any other error it is not.
  absl::Status Save(const std::string& directory, const std::string& base_model_name) const;

  std::unique_ptr<LoraAdapter> Clone() const;

  const LoraConfig& config() const { return config_; }
  int64_t layers() const { return static_cast<int64_t>(tensors_.size()); }
  // No data when the linear has no adapter in this layer.
  LoraView View(int64_t layer, Linear linear) const;
  // The writable [rank, in] A and [out, rank] B. REQUIRES: the linear has an adapter there.
  TensorView MutableA(int64_t layer, Linear linear);
  TensorView MutableB(int64_t layer, Linear linear);
  // SHA-256 (hex) of adapter_model.safetensors as Save writes it. Its metadata hold alpha and
  // rslora, its tensors everything else: two adapters of one digest compute the same.
  const std::string& digest() const { return digest_; }
  void UpdateDigest();  // After writing through MutableA/B, before anyone else sees the adapter.

 private:
  // Zeros. `config` has passed CheckLoraConfig.
  LoraAdapter(const ModelConfig& model, const LoraConfig& config);
  LoraAdapter(const LoraAdapter&) = default;
  struct Pair {
    std::vector<float> a;  // [rank, in]
    std::vector<float> b;  // [out, rank]
  };
  LoraConfig config_;
  std::vector<std::array<Pair, kLinears.size()>> tensors_;  // Empty vectors where not targeted.
  std::array<MatmulShape, kLinears.size()> shapes_;
  std::string digest_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_LORA_ADAPTER_H_
