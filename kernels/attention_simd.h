// The inner loops of attention: many row-heads (a query row's part for one head) against one block
// of 32 keys. All matrices are dense f32; a row is head_dim wide, a multiple of 8 (of 16 for the
// AVX-512 version).
#ifndef ALCHEMIST_KERNELS_ATTENTION_SIMD_H_
#define ALCHEMIST_KERNELS_ATTENTION_SIMD_H_

#include <cstdint>

#include "kernels/simd_level.h"

namespace alchemist {

inline constexpr int64_t kKeysPerBlock = 32;

// One block of keys of one kv head. Rows of keys that do not exist are zeros.
struct KeyBlock {
  int64_t head_dim;
  float scale;
  const float* k;             // [32, head_dim]
  const float* v;             // [32, head_dim]
  const float* k_transposed;  // [head_dim, 32]
  const float* v_transposed;  // [head_dim, 32], for the backward pass.
};

// transposed [width, 32] = x [32, width].
ALCHEMIST_DECLARE_SIMD(void TransposeKeys(const float* x, int64_t width, float* transposed))

// Row-heads and the online softmax over the key blocks that they have seen (Milakov and Gimelshein
// 2018).
struct ForwardRows {
  int64_t count;
  const float* q;          // [count, head_dim]
  const int32_t* visible;  // [count], 1 to 32, not descending: the keys that a row-head sees.
  float* max;              // [count], -infinity at first
  float* sum;              // [count], of exp(score - max); 0 at first
  float* out;              // [count, head_dim], sum of exp(score - max) * v; 0 at first
};
ALCHEMIST_DECLARE_SIMD(void AttentionForwardBlock(const KeyBlock& keys, const ForwardRows& rows))

// Row-heads of the backward pass.
struct BackwardRows {
  int64_t count;
  const float* q;          // [count, head_dim]
  const float* dout;       // [count, head_dim]
  const float* lse;        // [count]
  const float* dout_out;   // [count], dout . out
  const int32_t* visible;  // [count], 1 to 32, not descending
  float* const* dq;        // [count] rows, added to
};

// Adds to dq, and to dk and dv of the block's keys that some row-head sees: [32] rows.
ALCHEMIST_DECLARE_SIMD(void AttentionBackwardBlock(const KeyBlock& keys, const BackwardRows& rows,
                                                   float* const* dk, float* const* dv))

// dout . out of one row-head, summed in the order in which AttentionBackwardBlock sums dout . v: a
// row that sees one key only has out = v, and so gradients of exactly 0.
ALCHEMIST_DECLARE_SIMD(float OrderedDot(const float* x, const float* y, int64_t width))

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ATTENTION_SIMD_H_
