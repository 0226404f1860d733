#include "kernels/swiglu.h"

#include "base/logging.h"
#include "kernels/dispatch.h"
#include "kernels/swiglu_cpu.h"

namespace alchemist {
namespace {

void CheckSame(const char* op, const RowPieces& gate, const RowPieces& up) {
  CHECK(gate.rows() == up.rows() && gate.width() == up.width() && gate.dtype() == up.dtype())
      << op << ": gate is [" << gate.rows() << ", " << gate.width() << "], up [" << up.rows()
      << ", " << up.width() << "]";
}

}  // namespace

void SwigluForward(const RowPieces& gate, const RowPieces& up, TensorView y, Stream& stream) {
  if (gate.rows() == 0) return;
  CheckSame("SwigluForward", gate, up);
  CheckShape("SwigluForward y", y, gate.rows(), gate.width(), gate.dtype());
  DispatchDType("SwigluForward", gate.dtype(),
                [&](auto zero) { SwigluForwardCpu<decltype(zero)>(gate, up, y, stream); });
}

void SwigluBackward(const RowPieces& gate, const RowPieces& up, ConstTensorView dy,
                    TensorView dgate, TensorView dup, Stream& stream) {
  if (gate.rows() == 0) return;
  CheckSame("SwigluBackward", gate, up);
  CheckShape("SwigluBackward dy", dy, gate.rows(), gate.width(), DType::kF32);
  CheckShape("SwigluBackward dgate", dgate, gate.rows(), gate.width(), DType::kF32);
  CheckShape("SwigluBackward dup", dup, gate.rows(), gate.width(), DType::kF32);
  DispatchDType("SwigluBackward", gate.dtype(), [&](auto zero) {
    SwigluBackwardCpu<decltype(zero)>(gate, up, dy, dgate, dup, stream);
  });
}

}  // namespace alchemist
