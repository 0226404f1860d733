// CudnnAttentionShape: the sizes of one causal attention over a prompt. A plain value; any thread.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_SHAPE_H_
#define ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_SHAPE_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace alchemist {

struct CudnnAttentionShape {
  int64_t batch = 1;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;  // heads / kv_heads adjacent heads share one of k and v.
  int64_t head_dim = 0;

  std::string Text() const;
  // InvalidArgument, naming the shape: a number below 1, or kv_heads does not divide heads.
  absl::Status Check() const;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_SHAPE_H_
