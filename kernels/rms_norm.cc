#include "kernels/rms_norm.h"

#include "base/logging.h"
#include "kernels/dispatch.h"
#include "kernels/rms_norm_cpu.h"

namespace alchemist {
namespace {

void CheckGamma(const char* what, const RowPieces& x, ConstTensorView gamma) {
  CheckShape(what, gamma, 1, gamma.width, x.dtype());
  CHECK(gamma.width > 0 && x.width() % gamma.width == 0)
      << what << ": groups of " << gamma.width << " in rows of " << x.width();
}

}  // namespace

void RmsNormForward(const RowPieces& x, ConstTensorView gamma, float epsilon, TensorView y,
                    Stream& stream) {
  if (x.rows() == 0) return;
  CheckGamma("RmsNormForward gamma", x, gamma);
  CheckShape("RmsNormForward y", y, x.rows(), x.width(), y.dtype);
  CHECK(y.dtype == x.dtype() || y.dtype == DType::kF32) << DTypeName(y.dtype);
  DispatchDType("RmsNormForward", x.dtype(), [&]<typename T>(T) {
    if (y.dtype == x.dtype()) {
      RmsNormForwardCpu<T, T>(x, gamma, epsilon, y, stream);
    } else {
      RmsNormForwardCpu<T, float>(x, gamma, epsilon, y, stream);
    }
  });
}

void RmsNormBackward(const RowPieces& x, ConstTensorView gamma, float epsilon, ConstTensorView dy,
                     TensorView dx, Accumulate accumulate, TensorView dgamma, Stream& stream) {
  if (x.rows() == 0) return;
  CheckGamma("RmsNormBackward gamma", x, gamma);
  CheckShape("RmsNormBackward dy", dy, x.rows(), x.width(), DType::kF32);
  CheckShape("RmsNormBackward dx", dx, x.rows(), x.width(), DType::kF32);
  if (dgamma.data != nullptr) {
    CheckShape("RmsNormBackward dgamma", dgamma, 1, gamma.width, DType::kF32);
  }
  DispatchDType("RmsNormBackward", x.dtype(), [&](auto zero) {
    RmsNormBackwardCpu<decltype(zero)>(x, gamma, epsilon, dy, dx, accumulate, dgamma, stream);
  });
}

}  // namespace alchemist
