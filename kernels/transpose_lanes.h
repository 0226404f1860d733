// A matrix of 16 by 16 lanes turned in registers, for kernels with AVX-512 (simd.h).
#ifndef ALCHEMIST_KERNELS_TRANSPOSE_LANES_H_
#define ALCHEMIST_KERNELS_TRANSPOSE_LANES_H_

#include <cstdint>

#include "kernels/simd.h"

namespace alchemist::avx512 {

typedef int32_t UnalignedIntVec __attribute__((vector_size(4 * kLanes), aligned(2), may_alias));

// 64 bytes of f32 or bf16, aligned to an element.
ALCHEMIST_INLINE IntVec LoadBits(const void* p) { return *static_cast<const UnalignedIntVec*>(p); }
ALCHEMIST_INLINE void StoreBits(void* p, IntVec bits) { *static_cast<UnalignedIntVec*>(p) = bits; }

// Within each quarter the low or the high halves of a and b, one by one: lanes, or pairs of them.
// (As shuffles, since GCC 12 warns of its own header's intrinsics for them.)
ALCHEMIST_INLINE IntVec LowLanes(IntVec a, IntVec b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
ALCHEMIST_INLINE IntVec HighLanes(IntVec a, IntVec b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
ALCHEMIST_INLINE IntVec LowPairs(IntVec a, IntVec b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
ALCHEMIST_INLINE IntVec HighPairs(IntVec a, IntVec b) {
  return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
// The first and third, or the second and fourth, quarters of a and then of b.
ALCHEMIST_INLINE IntVec EvenQuarters(IntVec a, IntVec b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}
ALCHEMIST_INLINE IntVec OddQuarters(IntVec a, IntVec b) {
  return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

// Turns 16 rows of 16 lanes into columns.
ALCHEMIST_INLINE void Transpose(IntVec (&rows)[kLanes]) {
  IntVec t[kLanes];
  for (int64_t i = 0; i < kLanes; i += 2) {
    t[i] = LowLanes(rows[i], rows[i + 1]);
    t[i + 1] = HighLanes(rows[i], rows[i + 1]);
  }
  for (int64_t i = 0; i < kLanes; i += 4) {
    rows[i] = LowPairs(t[i], t[i + 2]);
    rows[i + 1] = HighPairs(t[i], t[i + 2]);
    rows[i + 2] = LowPairs(t[i + 1], t[i + 3]);
    rows[i + 3] = HighPairs(t[i + 1], t[i + 3]);
  }
  // Quarter l of rows[4 i + j] has column 4 l + j of the rows 4 i to 4 i + 3.
  for (int64_t j = 0; j < 4; ++j) {
    t[j] = EvenQuarters(rows[j], rows[4 + j]);
    t[4 + j] = OddQuarters(rows[j], rows[4 + j]);
    t[8 + j] = EvenQuarters(rows[8 + j], rows[12 + j]);
    t[12 + j] = OddQuarters(rows[8 + j], rows[12 + j]);
  }
  for (int64_t j = 0; j < 4; ++j) {
    rows[j] = EvenQuarters(t[j], t[8 + j]);
    rows[4 + j] = EvenQuarters(t[4 + j], t[12 + j]);
    rows[8 + j] = OddQuarters(t[j], t[8 + j]);
    rows[12 + j] = OddQuarters(t[4 + j], t[12 + j]);
  }
}

}  // namespace alchemist::avx512

#endif  // ALCHEMIST_KERNELS_TRANSPOSE_LANES_H_
