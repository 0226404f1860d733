// Matrix products over weights that lie row-major [out, in], used in place. Weights and the rows
// that meet them are f32 or bf16, both the same; results and gradients are f32: who stores them
// rounds them, once.
//
// A row of the result depends on that row alone: never on the other rows of the call, on how rows
// are cut into calls, or on the thread count (DESIGN.md section 9). Kernels are chosen by phase.
// Prefill and training rows go to oneDNN, single-threaded per slice of rows. Its results depend on
// the number of rows (measured on oneDNN 2.6.3, AVX2 and AMX), so rows are cut into slices whose
// sizes are bitwise equivalent, the last one padded; MatmulSelfTest finds out which sizes are so on
// this machine. It also finds for which products our own loops (short_product.h) have oneDNN's
// bits: those take the slices of at most 64 rows. Decode rows go to the kernel of matmul_decode.h,
// which reads each weight once.
#ifndef ALCHEMIST_KERNELS_MATMUL_H_
#define ALCHEMIST_KERNELS_MATMUL_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/accumulate.h"
#include "kernels/row_phase.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// A linear layer's weight. Int8 with scales will get its own fields here.
struct WeightView {
  ConstTensorView values;  // [out, in]
  ConstTensorView bias;    // [1, out] of the same type, or no data.
  int64_t out() const { return values.rows; }
  int64_t in() const { return values.width; }
};

// y = x W^T. (linear.h has what a layer's linear does with it.)
void MatmulForward(ConstTensorView x,    // [rows, in]
                   const WeightView& w,  // [out, in], without a bias
                   TensorView y,         // [rows, out] f32
                   RowPhase phase, Stream& stream);

// dx (+)= dy W. Training rows.
void MatmulInputGradient(ConstTensorView dy,   // [rows, out] f32
                         const WeightView& w,  // [out, in]
                         TensorView dx,        // [rows, in] f32
                         Accumulate accumulate, Stream& stream);

// dw += dy^T x. Only full-parameter training (offline) needs it. The same bits for every
// cut of the rows into calls, in order (see outer_products.h).
void MatmulWeightGradient(ConstTensorView dy,  // [rows, out] f32
                          ConstTensorView x,   // [rows, in] f32 or bf16
                          TensorView dw,       // [out, in] f32
                          Stream& stream);

struct MatmulShape {
  int64_t in = 0;
  int64_t out = 0;
};

// Checks on this machine that rows of both orientations keep their bits for every row count in use,
// and picks the tallest tiles that do; where OnednnPrefersBf16, also whether bf16 may be multiplied
// as it is: when its results keep their bits too and agree with those of widened operands; and for
// which calls ShortProduct has oneDNN's bits. Called once at start, before any other thread
// computes, with the model's shapes and type. Internal when no tile keeps them. Without a call the
// lowest tiles (right everywhere they were measured) of widened rows are used, and all by oneDNN.
absl::Status MatmulSelfTest(absl::Span<const MatmulShape> shapes, DType weights);

// What was chosen, for logs: "oneDNN 2.6.3, tiles of 64 rows, bf16 widened, own loops for 12 short
// products; decode AVX2".
std::string MatmulDescription();

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MATMUL_H_
