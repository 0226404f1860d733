// What the op.cc files share: checks of shapes, and the way from a dtype to a kernel.
#ifndef ALCHEMIST_KERNELS_DISPATCH_H_
#define ALCHEMIST_KERNELS_DISPATCH_H_

#include <cstdint>

#include "base/logging.h"
#include "kernels/bf16.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// CHECK-fails, naming `what` (op and tensor), unless `view` is [rows, width] of `dtype`.
inline void CheckShape(const char* what, ConstTensorView view, int64_t rows, int64_t width,
                       DType dtype) {
  CHECK(view.rows == rows && view.width == width && view.dtype == dtype)
      << what << " is [" << view.rows << ", " << view.width << "] " << DTypeName(view.dtype)
      << ", not [" << rows << ", " << width << "] " << DTypeName(dtype);
}

// Calls kernel(T()) with T the element type of `dtype`. CHECK-fails, naming `op` and the dtype,
// where there is no kernel for it: weights and flags are checked before any op runs.
template <typename Kernel>
void DispatchDType(const char* op, DType dtype, const Kernel& kernel) {
  switch (dtype) {
    case DType::kF32:
      return kernel(float());
    case DType::kBf16:
      return kernel(Bf16());
    case DType::kF16:
      break;
  }
  LOG(FATAL) << op << " has no kernel for " << DTypeName(dtype);
}

// The check of DispatchDType, for ops whose inner parts dispatch.
inline void CheckFloat(const char* op, DType dtype) {
  DispatchDType(op, dtype, [](auto) {});
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_DISPATCH_H_
