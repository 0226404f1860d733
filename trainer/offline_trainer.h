// OfflineTrainer: the gradients of dumped items by a process that never attached to a server and
// has only the tokens and the weights: the other side of the comparison that proves reuse exact.
#ifndef ALCHEMIST_TRAINER_OFFLINE_TRAINER_H_
#define ALCHEMIST_TRAINER_OFFLINE_TRAINER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

struct OfflineOptions {
  std::string model_directory;
  std::optional<DType> dtype;  // Of Model::Load; the server's, for its bits.
  std::string items_file;      // step-<n>.items.jsonl of a gradient dump.
  std::string adapters_dir;    // The dump's adapters/ folder.
  std::string output_file;     // A safetensors file, as the dump's.
  int64_t forward_rows = 512;
};

// Runs the items as one batch, every prompt included, and writes the gradient. InvalidArgument
// names file, line and field.
absl::Status RunOffline(const OfflineOptions& options, Device& device, Stream& stream);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_OFFLINE_TRAINER_H_
