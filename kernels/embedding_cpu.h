// Token embedding on the CPU; shapes and tokens are as embedding.h says and already checked.
#ifndef ALCHEMIST_KERNELS_EMBEDDING_CPU_H_
#define ALCHEMIST_KERNELS_EMBEDDING_CPU_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

void EmbeddingBackwardCpu(absl::Span<const int32_t> tokens, ConstTensorView dx, TensorView dtable,
                          Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_EMBEDDING_CPU_H_
