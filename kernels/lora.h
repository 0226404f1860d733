// Low-rank adapters (Hu et al. 2021): y += (scale * x A^T) B^T, per segment of rows, since rows of
// one batch can belong to different adapters and revisions. An adapter is f32, whatever the type of
// the model's rows. Here is the backward; LinearForward (linear.h) makes the forward with the
// weights' own product.
#ifndef ALCHEMIST_KERNELS_LORA_H_
#define ALCHEMIST_KERNELS_LORA_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// One linear's adapter weights, or none (a without data).
struct LoraView {
  ConstTensorView a;  // [rank, in]
  ConstTensorView b;  // [out, rank]
  float scale = 0;
};

// Rows [first_row, first_row + rows) use `weights`.
struct LoraSegment {
  int64_t first_row = 0;
  int64_t rows = 0;
  LoraView weights;
};

// dx += (through A and B); da, db += (rows ascending; the same bits for every cut of the rows into
// calls in order). All segments add to one da, db: the gradient at the published bytes of each
// segment's revision, applied to the current adapter (DESIGN.md section 6).
void LoraBackward(ConstTensorView x,   // [rows, in] f32 or bf16
                  ConstTensorView dy,  // [rows, out] f32
                  absl::Span<const LoraSegment> segments,
                  TensorView dx,  // [rows, in] f32, or no data
                  TensorView da,  // [rank, in] f32
                  TensorView db,  // [out, rank] f32
                  Stream& stream);

// CHECK-fails, naming `what`, unless the segments are of [rows, in] and their weights go to `out`.
void CheckLoraSegments(const char* what, absl::Span<const LoraSegment> segments, int64_t rows,
                       int64_t in, int64_t out);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LORA_H_
