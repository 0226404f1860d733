#include "kernels/tensor_view.h"

namespace alchemist {

const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kBf16:
      return "bf16";
    case DType::kF16:
      return "f16";
  }
  return "unknown dtype";
}

}  // namespace alchemist
