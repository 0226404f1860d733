// Attention's forward loops for CPUs that multiply bf16 themselves (AVX-512 BF16): what
// attention_simd.h does in f32, with keys, values and probabilities in pairs of bf16. Products are
// summed in f32, subnormal ones as zeros; probabilities are rounded to bf16 before they meet the
// values, their sum is of the unrounded ones. Call only at SimdLevel::kAvx512Bf16 or higher.
#ifndef ALCHEMIST_KERNELS_ATTENTION_BF16_H_
#define ALCHEMIST_KERNELS_ATTENTION_BF16_H_

#include <cstdint>

#include "kernels/attention_simd.h"

namespace alchemist::avx512_bf16 {

// A head's width must be a multiple of this.
inline constexpr int64_t kHeadDimGranule = 32;

// One block of keys of one kv head, all by their bits. What belongs to keys that do not exist may
// be anything: it comes into no result.
struct KeyPairs {
  int64_t head_dim;
  float scale;
  const uint16_t* k;  // [head_dim / 2, 32, 2]: two neighbours of each key
  const uint16_t* v;  // [16, head_dim, 2]: a column of two neighbouring keys
};

// k of KeyPairs, from the rows of keys; those that do not exist must be readable.
void PairKeys(const uint16_t* const (&rows)[kKeysPerBlock], int64_t width, uint16_t* pairs);
// v of KeyPairs.
void PairValues(const uint16_t* const (&rows)[kKeysPerBlock], int64_t width, uint16_t* pairs);

// q: [rows.count, head_dim] by its bits; ForwardRows::q is not read.
void AttentionForwardBlock(const KeyPairs& keys, const uint16_t* q, const ForwardRows& rows);

}  // namespace alchemist::avx512_bf16

#endif  // ALCHEMIST_KERNELS_ATTENTION_BF16_H_
