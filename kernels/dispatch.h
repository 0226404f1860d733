// From a view's dtype to the element type of a kernel.
#ifndef ALCHEMIST_KERNELS_DISPATCH_H_
#define ALCHEMIST_KERNELS_DISPATCH_H_

#include "base/logging.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// Calls kernel(T()) with T the element type of `dtype`. CHECK-fails, naming `op` and the dtype,
// where there is no kernel for it: weights and flags are checked before any op runs.
template <typename Kernel>
void DispatchDType(const char* op, DType dtype, const Kernel& kernel) {
  switch (dtype) {
    case DType::kF32:
      return kernel(float());
    case DType::kBf16:
    case DType::kF16:
      break;
  }
  LOG(FATAL) << op << " has no kernel for " << DTypeName(dtype);
}

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_DISPATCH_H_
