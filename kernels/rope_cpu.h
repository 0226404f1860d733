// Rope on the CPU; shapes and positions are as rope.h says and already checked.
#ifndef ALCHEMIST_KERNELS_ROPE_CPU_H_
#define ALCHEMIST_KERNELS_ROPE_CPU_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/rope.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

void RopeForwardCpu(const RopeTable& table, absl::Span<const int32_t> positions, TensorView x,
                    Stream& stream);

void RopeBackwardCpu(const RopeTable& table, absl::Span<const int32_t> positions, TensorView dx,
                     Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ROPE_CPU_H_
