#include "kernels/embedding.h"

#include "base/logging.h"
#include "kernels/dispatch.h"
#include "kernels/embedding_cpu.h"
#include "kernels/residual.h"

namespace alchemist {

void EmbeddingForward(absl::Span<const int32_t> tokens, ConstTensorView table, TensorView x,
                      Stream& stream) {
  GatherRows(table, tokens, x, stream);
}

void EmbeddingBackward(absl::Span<const int32_t> tokens, ConstTensorView dx, TensorView dtable,
                       Stream& stream) {
  CheckShape("EmbeddingBackward dx", dx, static_cast<int64_t>(tokens.size()), dtable.width,
             DType::kF32);
  CheckShape("EmbeddingBackward dtable", dtable, dtable.rows, dtable.width, DType::kF32);
  for (int32_t token : tokens) {
    CHECK(token >= 0 && token < dtable.rows) << "token " << token << " of " << dtable.rows;
  }
  EmbeddingBackwardCpu(tokens, dx, dtable, stream);
}

}  // namespace alchemist
