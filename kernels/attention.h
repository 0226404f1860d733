// Causal grouped-query attention over lists of K/V rows, with the log-sum-exp kept, and its
// backward.
//
// Keys are split at absolute positions (blocks of 32, and tiles of 1,024, for decode rows 128, of
// which each is summed by itself), and within a block are summed in order of position (where bf16
// is multiplied as it is pair by pair or by tiles, in the CPU's order within them, and by
// probabilities that are rounded to bf16; attention_bf16.h, attention_amx.h), so that a row's
// result depends on its q, its phase and the K/V before it only: not on where K/V lie, how runs are
// cut, or which rows share the call.
// Backward recomputes the probabilities from the log-sum-exp (Dao et al. 2022) and splits exactly
// into (query run, key run) pairs; each dK/dV element is a sum over query rows in ascending order,
// each dq element over keys in ascending order. q, k, v and out are f32 or bf16, all the same;
// gradients are f32.
#ifndef ALCHEMIST_KERNELS_ATTENTION_H_
#define ALCHEMIST_KERNELS_ATTENTION_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/row_phase.h"
#include "kernels/row_pieces.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;  // Divides heads.
  int64_t head_dim = 0;  // A multiple of 8.
  float scale = 0;       // 1 / sqrt(head_dim) for all supported families.
};

// Rows [first_position, first_position + k.rows) of K and V, K after rope.
struct KvRun {
  ConstTensorView k;  // [rows, kv_heads * head_dim]
  ConstTensorView v;  // [rows, kv_heads * head_dim]
  int64_t first_position = 0;
};

// Where the gradients of a KvRun's rows are summed.
struct KvGradRun {
  TensorView dk;  // [rows, kv_heads * head_dim] f32
  TensorView dv;  // [rows, kv_heads * head_dim] f32
  int64_t first_position = 0;
};

// One sequence's part of a call: query rows at ascending positions, and the K/V of all positions
// 0 .. positions.back(), in order, without gaps (also the rows' own).
struct AttentionSpan {
  int64_t first_row = 0;                // In q, out and lse.
  absl::Span<const int32_t> positions;  // One per query row; row t sees keys 0 .. positions[t].
  absl::Span<const KvRun> kv;
};

void AttentionForward(const AttentionShape& shape, absl::Span<const AttentionSpan> spans,
                      ConstTensorView q,  // [rows, heads * head_dim]
                      TensorView out,     // [rows, heads * head_dim]
                      TensorView lse,     // [rows, heads] f32
                      RowPhase phase, Stream& stream);

// One sequence's part of a backward call.
struct AttentionGradSpan {
  int64_t first_row = 0;  // In q, out, lse, dout and dq.
  absl::Span<const int32_t> positions;
  absl::Span<const KvRun> kv;
  absl::Span<const KvGradRun> kv_grad;  // The same rows as kv, cut the same way.
};

// dq = ..., dk += ..., dv += ... . Spans are taken in order. Two may add to the same dk, dv rows
// when these are a common prefix: the same rows at all positions up to some one.
void AttentionBackward(const AttentionShape& shape, absl::Span<const AttentionGradSpan> spans,
                       const RowPieces& q,    // [rows, heads * head_dim]
                       const RowPieces& out,  // [rows, heads * head_dim]
                       const RowPieces& lse,  // [rows, heads] f32
                       ConstTensorView dout,  // [rows, heads * head_dim] f32
                       TensorView dq,         // [rows, heads * head_dim] f32
                       Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_ATTENTION_H_
