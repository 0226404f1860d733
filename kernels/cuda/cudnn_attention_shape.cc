#include "kernels/cuda/cudnn_attention_shape.h"

#include "absl/strings/str_cat.h"

namespace alchemist {

std::string CudnnAttentionShape::Text() const {
  return absl::StrCat("of batch ", batch, ", tokens ", tokens, ", heads ", heads, ", kv_heads ",
                      kv_heads, ", head_dim ", head_dim);
}

absl::Status CudnnAttentionShape::Check() const {
  const bool positive = batch > 0 && tokens > 0 && heads > 0 && kv_heads > 0 && head_dim > 0;
  if (positive && heads % kv_heads == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("an attention ", Text()));
}

}  // namespace alchemist
