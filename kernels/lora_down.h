// LoRA's way down, from a row to `rank` numbers, which forward and backward both make. The scale
// meets rows there, where they are the narrowest.
#ifndef ALCHEMIST_KERNELS_LORA_DOWN_H_
#define ALCHEMIST_KERNELS_LORA_DOWN_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "kernels/thin_product.h"

namespace alchemist {

// Calls tile(first, count) for tiles of rows that stay in the second-level cache.
void ForEachLoraTile(Stream& stream, int64_t rows,
                     absl::FunctionRef<void(int64_t first, int64_t count)> tile);

// u = scale * x m, on the calling thread; m is A^T for rows of x, B for rows of dy.
void LoraDown(ConstTensorView x,  // [rows, m.depth] f32 or bf16
              const ThinMatrix& m, float scale,
              TensorView u);  // [rows, rank] f32

void Scale(float scale, TensorView x);  // x *= scale, f32, on the calling thread.

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LORA_DOWN_H_
