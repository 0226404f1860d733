// CudnnAttention: causal attention over a prompt, of one shape, by cuDNN's fused kernels. Made once
// per shape: the kernel is chosen and compiled then, which takes up to seconds. Move only. It owns
// the workspace, so calls of one object are queued in one stream, or in streams that wait for each
// other. One thread at a time, with the device bound; its CudnnHandle outlives it.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_H_
#define ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_H_

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/cudnn_attention_shape.h"
#include "kernels/cuda/cudnn_handle.h"

namespace alchemist {

class CudnnAttention {
 public:
  // InvalidArgument: the shape's Check. Unimplemented, naming the shape and cuDNN's reason: no
  // engine does it on this device. ResourceExhausted: no room for the workspace.
  static absl::StatusOr<CudnnAttention> Create(const CudnnHandle* cudnn,
                                               const CudnnAttentionShape& shape);
  CudnnAttention(CudnnAttention&& other) noexcept;
  CudnnAttention& operator=(CudnnAttention&& other) noexcept;
  ~CudnnAttention();

  // output[t] = the softmax over s <= t of q[t] * k[s] / sqrt(head_dim), times v[s]. All are dense;
  // addresses are multiples of 16, or it is InvalidArgument.
  absl::Status Run(uint64_t q,            // [batch, tokens, heads, head_dim] bf16
                   uint64_t k,            // [batch, tokens, kv_heads, head_dim] bf16
                   uint64_t v,            // [batch, tokens, kv_heads, head_dim] bf16
                   uint64_t output,       // [batch, tokens, heads, head_dim] bf16
                   uint64_t log_sum_exp,  // [batch, heads, tokens] f32: of a row's scaled scores.
                   CudaStream& stream) const;
  int64_t workspace_bytes() const;

 private:
  struct Plan;
  explicit CudnnAttention(std::unique_ptr<Plan> plan);
  std::unique_ptr<Plan> plan_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_H_
