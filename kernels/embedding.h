// Token embedding: rows of a table.
#ifndef ALCHEMIST_KERNELS_EMBEDDING_H_
#define ALCHEMIST_KERNELS_EMBEDDING_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// x[t] = table[tokens[t]]. REQUIRES: 0 <= token < table.rows.
void EmbeddingForward(absl::Span<const int32_t> tokens,
                      ConstTensorView table,  // [vocab, hidden]
                      TensorView x,           // [tokens, hidden]
                      Stream& stream);

// dtable[tokens[t]] += dx[t], t ascending.
void EmbeddingBackward(absl::Span<const int32_t> tokens,
                       ConstTensorView dx,  // [tokens, hidden]
                       TensorView dtable,   // [vocab, hidden] f32
                       Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_EMBEDDING_H_
