// Attention's forward loops for CPUs that multiply tiles of bf16 (AMX): attention_bf16.h's operands
// and rounding, with sums in the order of amx_tiles.h. A block's keys are summed by themselves
// before they are added to those of the blocks before it. Call only at SimdLevel::kAmxBf16.
#ifndef ALCHEMIST_KERNELS_ATTENTION_AMX_H_
#define ALCHEMIST_KERNELS_ATTENTION_AMX_H_

#include <cstdint>

#include "kernels/attention_bf16.h"
#include "kernels/attention_simd.h"

namespace alchemist::amx_bf16 {

// Row-heads that are multiplied at a time.
inline constexpr int64_t kRowsAtOnce = 32;

// The calling thread's tile registers, set up while this lives. A library that uses tiles of its
// own (oneDNN) must not be called meanwhile.
class TileScope {
 public:
  TileScope();
  ~TileScope();
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

// q: [all.count, head_dim] by its bits, readable up to a multiple of kRowsAtOnce rows whatever
// these hold; ForwardRows::q is not read. Within a TileScope.
void AttentionForwardBlock(const avx512_bf16::KeyPairs& keys, const uint16_t* q,
                           const ForwardRows& all);

}  // namespace alchemist::amx_bf16

#endif  // ALCHEMIST_KERNELS_ATTENTION_AMX_H_
