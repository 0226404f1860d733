// AdapterGradients: f32 gradients of an adapter's A and B, of the adapter's shapes. Owned by the
// trainer's loop, which alone uses it.
#ifndef ALCHEMIST_MODEL_ADAPTER_GRADIENTS_H_
#define ALCHEMIST_MODEL_ADAPTER_GRADIENTS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/tensor_view.h"
#include "model/lora_adapter.h"

namespace alchemist {

class AdapterGradients {
 public:
  explicit AdapterGradients(const LoraAdapter& like);  // Zeros.
  void SetZero();

  int64_t layers() const { return static_cast<int64_t>(tensors_.size()); }
  TensorView A(int64_t layer, Linear linear);  // [rank, in], or no data
  TensorView B(int64_t layer, Linear linear);  // [out, rank], or no data

 private:
  struct Pair {
    std::vector<float> a;
    std::vector<float> b;
    int64_t rank = 0;
  };
  std::vector<std::array<Pair, kLinears.size()>> tensors_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_ADAPTER_GRADIENTS_H_
