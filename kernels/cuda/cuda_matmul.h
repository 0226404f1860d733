// CudaMatmul: y = x * w^T of one size by cuBLASLt, as a layer with the weight w computes it. Made
// once per size: the algorithm is chosen then. Move only. It owns the workspace, so calls of one
// object are queued in one stream, or in streams that wait for each other. One thread at a time,
// with the device bound; its CublasLt outlives it.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_MATMUL_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_MATMUL_H_

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/cuda_stream.h"

namespace alchemist {

struct CudaMatmulSize {
  int64_t rows = 0;     // Of x and y: tokens.
  int64_t inputs = 0;   // Columns of x and w.
  int64_t outputs = 0;  // Rows of w, columns of y.
};

// A matrix as BLAS sees it: column by column, `stride` elements from one column to the next.
struct ColumnMajorMatrix {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;
};

// d = transposed(a) * b: what a column-major library is asked so that y = x * w^T comes out
// row-major. Pure.
struct ColumnMajorMatmul {
  ColumnMajorMatrix a;  // w, [outputs, inputs] row-major.
  ColumnMajorMatrix b;  // x, [rows, inputs] row-major.
  ColumnMajorMatrix d;  // y, [rows, outputs] row-major.
};
ColumnMajorMatmul AsColumnMajor(const CudaMatmulSize& size);

inline constexpr int64_t kCudaMatmulAlignment = 16;  // Of x, w and y, in bytes.
inline constexpr int64_t kCudaMatmulWorkspaceBytesMax = int64_t{64} << 20;

class CudaMatmul {
 public:
  // InvalidArgument: a size below 1. Unimplemented, naming the size: no algorithm does it.
  // ResourceExhausted: no room for the workspace.
  static absl::StatusOr<CudaMatmul> Create(const CublasLt* cublas, const CudaMatmulSize& size);
  CudaMatmul(CudaMatmul&& other) noexcept;
  CudaMatmul& operator=(CudaMatmul&& other) noexcept;
  ~CudaMatmul();

  // y = x * w^T. All are bf16, row-major and dense; sums are f32 and are rounded once.
  absl::Status Run(uint64_t x,                 // [rows, inputs]
                   uint64_t w,                 // [outputs, inputs]
                   uint64_t y,                 // [rows, outputs]
                   CudaStream& stream) const;  // InvalidArgument: an address is not aligned.
  int64_t workspace_bytes() const;

 private:
  struct Plan;
  explicit CudaMatmul(std::unique_ptr<Plan> plan);
  std::unique_ptr<Plan> plan_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_MATMUL_H_
