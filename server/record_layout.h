// Where the model's ActivationLayout and the store's blocks meet: which block tensor is which
// activation. Pure functions; any thread.
#ifndef ALCHEMIST_SERVER_RECORD_LAYOUT_H_
#define ALCHEMIST_SERVER_RECORD_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "activation_store/block.h"
#include "model/activation_layout.h"
#include "model/forward.h"

namespace alchemist {

// The layout's tensors in the order in which blocks hold them.
std::vector<BlockTensor> BlockTensorsOf(const ActivationLayout& layout);

// Redirects the activations of a group to `block` (of `rows` rows, `head_rows` head rows), whose
// offsets count from `arena`: recording is this choice of address.
void WriteToBlock(const ActivationLayout& layout, const Block& block, std::byte* arena,
                  int64_t rows, int64_t head_rows, std::vector<LayerActivations>& activations);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_RECORD_LAYOUT_H_
