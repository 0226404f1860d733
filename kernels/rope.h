// Rotary position embedding (Su et al. 2021), the rotate-half form of Hugging Face's Llama: element
// i of a head is paired with element i + head_dim / 2. Only f32 is rotated: a linear's sums before
// they are stored, and gradients.
#ifndef ALCHEMIST_KERNELS_ROPE_H_
#define ALCHEMIST_KERNELS_ROPE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

enum class RopeScaling { kNone, kLinear, kLlama3 };

struct RopeConfig {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;              // Linear and Llama 3.
  double low_freq_factor = 1.0;     // Llama 3.
  double high_freq_factor = 4.0;    // Llama 3.
  int64_t original_context = 8192;  // Llama 3.
};

// cos and sin of position * frequency, computed in double and stored in f32. Immutable; any thread.
class RopeTable {
 public:
  RopeTable(const RopeConfig& config, int64_t head_dim, int64_t context);
  int64_t head_dim() const { return head_dim_; }
  int64_t context() const { return context_; }
  const float* Cos(int64_t position) const { return cos_.data() + position * (head_dim_ / 2); }
  const float* Sin(int64_t position) const { return sin_.data() + position * (head_dim_ / 2); }

 private:
  int64_t head_dim_;
  int64_t context_;
  std::vector<float> cos_;  // [context, head_dim / 2]
  std::vector<float> sin_;  // [context, head_dim / 2]
};

// Rotates every head of row t by positions[t], in place. REQUIRES: 0 <= position < context.
void RopeForward(const RopeTable& table, absl::Span<const int32_t> positions,
                 TensorView x,  // [rows, heads * head_dim] f32
                 Stream& stream);

// The transpose: rotates back. In place on the gradient.
void RopeBackward(const RopeTable& table, absl::Span<const int32_t> positions,
                  TensorView dx,  // [rows, heads * head_dim] f32
                  Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ROPE_H_
