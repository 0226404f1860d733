// Tensors of an adapter's shapes (gradients, moments) in a safetensors file: "layers.3.q_proj.A",
// f32.
#ifndef ALCHEMIST_TRAINER_GRADIENT_FILE_H_
#define ALCHEMIST_TRAINER_GRADIENT_FILE_H_

#include <string>

#include "base/status.h"
#include "model/adapter_gradients.h"
#include "model/lora_adapter.h"
#include "model/safetensors_writer.h"

namespace alchemist {

// Adds every A and B of `tensors`, which has the shapes of `adapter`, under `prefix`.
void AddAdapterTensors(const std::string& prefix, const LoraAdapter& adapter,
                       AdapterGradients& tensors, SafetensorsWriter& writer);

// Reads what AddAdapterTensors wrote. InvalidArgument naming file and tensor when one is missing or
// has another shape.
absl::StatusOr<AdapterGradients> ReadAdapterTensors(const std::string& path,
                                                    const std::string& prefix,
                                                    const LoraAdapter& adapter);

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_GRADIENT_FILE_H_
