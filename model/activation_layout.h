// ActivationLayout: the single list of what the record of a layer holds (DESIGN.md section 5):
// which tensors, how wide, for which rows. The model's forward writes it, its backward reads it,
// the server and trainer ask it what memory to take. Immutable; any thread.
#ifndef ALCHEMIST_MODEL_ACTIVATION_LAYOUT_H_
#define ALCHEMIST_MODEL_ACTIVATION_LAYOUT_H_

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/row_pieces.h"
#include "kernels/tensor_view.h"
#include "model/config.h"

namespace alchemist {

// The numbers stand in records and on the link: never change one.
enum class ActivationTensor : uint8_t {
  kX = 0,          // [hidden] block input; entry `layers`: the final norm's input
  kQ = 1,          // [heads * head_dim] after rope; with q/k norm: before the norm
  kAttention = 2,  // [heads * head_dim] attention output, before o
  kLse = 3,        // [heads] f32 log-sum-exp
  kH = 4,          // [hidden] residual after attention
  kGate = 5,       // [ffn]
  kUp = 6,         // [ffn]
  kKRaw = 7,       // [kv_heads * head_dim] k before its norm; q/k norm families only
};
inline constexpr int kActivationTensors = 8;
const char* ActivationTensorName(ActivationTensor tensor);

// Where one layer's activations of a batch of rows are written: [rows, width] each, or [head rows,
// width]. Indexed by ActivationTensor; no data: no memory (yet), or no such tensor.
using LayerActivations = std::array<TensorView, kActivationTensors>;
// The same to be read, in row order, wherever the rows lie.
using LayerPieces = std::array<RowPieces, kActivationTensors>;

inline TensorView& Of(LayerActivations& activations, ActivationTensor tensor) {
  return activations[static_cast<int>(tensor)];
}
inline const TensorView& Of(const LayerActivations& activations, ActivationTensor tensor) {
  return activations[static_cast<int>(tensor)];
}
inline const RowPieces& Of(const LayerPieces& pieces, ActivationTensor tensor) {
  return pieces[static_cast<int>(tensor)];
}

// The unit of residency.
enum class TensorGroup : uint8_t { kKv = 0, kX = 1, kAttention = 2, kMlp = 3 };

struct TensorSpec {
  ActivationTensor tensor = ActivationTensor::kX;
  TensorGroup group = TensorGroup::kX;
  int64_t width = 0;
  DType dtype = DType::kF32;
  bool head_rows_only = false;  // Dense over the rows whose next token is trained.
};

// The tensors that the forward pass makes in entry `layer` of [0, layers], in ascending order,
// recorded or not: everything for the layers, x alone for entry `layers`. In the last layer all but
// x (and k before its norm) are for head rows only. The layout records a part of them.
std::vector<TensorSpec> ForwardTensors(const ModelConfig& config, DType dtype, int64_t layer);

class ActivationLayout {
 public:
  // Widths are local ones, so that tensor parallelism can come later.
  ActivationLayout(const ModelConfig& config, DType dtype, int64_t lowest_trained_layer);

  // What entry `layer` in [0, layers] holds beside K/V: the forward's tensors, but entry 0 has no x
  // (it is the embedding's row), and entries below the lowest trained layer are empty.
  const std::vector<TensorSpec>& layer(int64_t layer) const { return layers_[layer]; }
  int64_t layers() const { return static_cast<int64_t>(layers_.size()) - 1; }
  int64_t kv_width() const { return kv_width_; }  // K and V are recorded in every layer.
  DType dtype() const { return dtype_; }
  int64_t lowest_trained_layer() const { return lowest_trained_layer_; }
  // Bytes of a record of `rows` tokens of which `head_rows` are head rows, K/V included.
  int64_t RecordBytes(int64_t rows, int64_t head_rows) const;

 private:
  std::vector<std::vector<TensorSpec>> layers_;
  int64_t kv_width_;
  DType dtype_;
  int64_t lowest_trained_layer_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_ACTIVATION_LAYOUT_H_
