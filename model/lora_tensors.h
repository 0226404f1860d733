// The tensors of an adapter in a PEFT directory: their names, and the file they make.
#ifndef ALCHEMIST_MODEL_LORA_TENSORS_H_
#define ALCHEMIST_MODEL_LORA_TENSORS_H_

#include <cstdint>
#include <string>

#include "model/linear.h"
#include "model/lora_adapter.h"
#include "model/safetensors_writer.h"

namespace alchemist {

// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight". `factor` is 'A' or 'B'.
std::string LoraTensorName(int64_t layer, Linear linear, char factor);

// The writer of `adapter`'s adapter_model.safetensors. `adapter` must outlive it.
SafetensorsWriter LoraWriter(const LoraAdapter& adapter);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_LORA_TENSORS_H_
