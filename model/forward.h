// The one forward pass, used by both daemons: prefill in chunks, decode, and the trainer's response
// rows over recorded K/V. A pure function over views: what a row computes depends on its tokens,
// its adapter and its phase only, and recording is the choice of the address an activation is
// written to. The pass continues from the stored (rounded) value of every activation.
//
// A group is rows of one phase whose activations lie in the same buffers. The caller runs
// ForwardEmbedding, then ForwardLayer for each layer (and may do other things between two layers),
// then ForwardLogits where it wants them.
#ifndef ALCHEMIST_MODEL_FORWARD_H_
#define ALCHEMIST_MODEL_FORWARD_H_

#include <cstdint>
#include <vector>

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "model/activation_layout.h"
#include "model/forward_scratch.h"
#include "model/lora_adapter.h"
#include "model/model.h"

namespace alchemist {

// Writable K/V rows [first_position, first_position + k.rows) of one layer.
struct KvRows {
  TensorView k;  // [rows, kv_width]
  TensorView v;  // [rows, kv_width]
  int64_t first_position = 0;
};

// One sequence's rows in a group. A sequence has at most one span in a group.
struct ForwardSpan {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_position = 0;
  const LoraAdapter* adapter = nullptr;  // Null: the base model alone.
  // Per layer: K/V of the positions 0 .. last, own rows included, in order without gaps. A run may
  // reach past the last position; those rows are not read.
  std::vector<std::vector<KvRun>> kv;
  // Per layer: memory for the own rows' K/V, in order; the same memory as the end of `kv`.
  std::vector<std::vector<KvRows>> kv_write;
};

struct ForwardGroup {
  RowPhase phase = RowPhase::kPrefill;
  std::vector<int32_t> tokens;     // [rows]
  std::vector<ForwardSpan> spans;  // Cover all rows in order.
  // Ascending rows of the group whose hidden state at the end is wanted. The last layer computes
  // only K/V for the others (ActivationLayout's last-layer rule).
  std::vector<int32_t> head_rows;
  // [layers + 1]. Every tensor of ForwardTensors has memory, recorded or not:
  // ForwardScratch::FillUnrecorded gives it to those without data.
  std::vector<LayerActivations> activations;

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
};

// Writes activations[0].x. REQUIRES: every token is in the vocabulary.
void ForwardEmbedding(const Model& model, ForwardGroup& group, Stream& stream);

// Reads activations[layer].x; writes the layer's activations, its K/V, and activations[layer +
// 1].x, which may be the memory of its own x. REQUIRES: group.rows() <= scratch.rows_max();
// positions lie within the context.
void ForwardLayer(const Model& model, int64_t layer, ForwardGroup& group, ForwardScratch& scratch,
                  Stream& stream);

// logits = head(final norm(activations[layers].x)), one row for each head row.
void ForwardLogits(const Model& model, const ForwardGroup& group, ForwardScratch& scratch,
                   TensorView logits,  // [head rows, vocab]
                   Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_FORWARD_H_
