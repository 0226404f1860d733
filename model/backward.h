// The one backward pass: over a forest of records. A node is a stretch of rows with one parent (the
// prompt of two answers, a response on its prompt); all nodes go through layer l together before
// any goes to l - 1; dK and dV of a shared prefix are summed in f32 before its rows go through the
// linears once. Activations are read where they lie; norms, SwiGLU products and LoRA's projections
// are recomputed. Objectives are unknown here: the caller gives each trained token's coefficient
// c_t, and gets gradients of sum c_t log pi(y_t). Gradients have the same bits for every cut of a
// node's activations and K/V into pieces, and of a sequence into nodes.
#ifndef ALCHEMIST_MODEL_BACKWARD_H_
#define ALCHEMIST_MODEL_BACKWARD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/attention.h"
#include "kernels/device.h"
#include "kernels/stream.h"
#include "model/activation_layout.h"
#include "model/adapter_gradients.h"
#include "model/lora_adapter.h"
#include "model/model.h"
#include "model/parameter_set.h"

namespace alchemist {

struct BackwardNode {
  int parent = -1;  // Index of an earlier node, or -1 for a root.
  // The parent's chain gives all positions before it; what it has from here on is not seen.
  int64_t first_position = 0;
  std::vector<int32_t> tokens;           // [rows], at least one
  const LoraAdapter* adapter = nullptr;  // Whose published bytes made the activations.
  std::vector<LayerPieces> activations;  // [layers + 1]; what ActivationLayout lists is read.
  std::vector<std::vector<KvRun>> kv;    // [layers], own rows only, by absolute position.
  std::vector<int32_t> head_rows;        // Ascending rows of the node that the last layer finished.

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
};

// A trained token: predicted at head row `head_row` (index into head_rows) of `node`. Two targets
// may share a row: the last prompt row predicts the first token of each of its answers.
struct TrainedToken {
  int node = 0;
  int64_t head_row = 0;
  int32_t token = 0;
};

// At least one kind of gradient is wanted by Run; LogProbs needs none.
struct BackwardOptions {
  AdapterGradients* adapter_gradients = nullptr;  // Online training.
  ParameterSet* full_gradients = nullptr;         // Offline; then every layer is trained.
  int64_t lowest_trained_layer = 0;
  // Called by Run when the activations and K/V of a layer are read no more, so that its runs can be
  // released: with `layers` once the final norm's input is, then for every layer from the last down
  // to the lowest trained one.
  std::function<void(int64_t layer)> layer_done;
};

// One batch's backward pass. Made once per batch; one thread.
class BackwardPass {
 public:
  // Takes the memory of the whole pass: ResourceExhausted when the device has no room. All
  // arguments must outlive the pass.
  static absl::StatusOr<std::unique_ptr<BackwardPass>> Create(
      const Model& model, const std::vector<BackwardNode>& nodes,
      const std::vector<TrainedToken>& trained, BackwardOptions options, Device& device,
      Stream& stream);
  virtual ~BackwardPass() = default;

  // log pi(y_t) of each trained token at the nodes' own revisions; keeps the unit head gradients.
  virtual absl::Span<const float> LogProbs() = 0;
  // Adds the gradients of sum over t of c[t] * log pi(y_t); LogProbs answers after it too. Once.
  virtual void Run(absl::Span<const float> c) = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_BACKWARD_H_
