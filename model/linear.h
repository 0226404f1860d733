// The linears of a layer, by name and shape. Plain values; any thread.
#ifndef ALCHEMIST_MODEL_LINEAR_H_
#define ALCHEMIST_MODEL_LINEAR_H_

#include <array>
#include <cstdint>

#include "kernels/matmul.h"
#include "model/config.h"

namespace alchemist {

// In forward order. Head and embedding are no linears of a layer.
enum class Linear : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr std::array<Linear, 7> kLinears = {
    Linear::kQ, Linear::kK, Linear::kV, Linear::kO, Linear::kGate, Linear::kUp, Linear::kDown};

const char* LinearName(Linear linear);    // "q_proj", ...
const char* LinearModule(Linear linear);  // "self_attn.q_proj", ...: inside a layer of HF's model.
MatmulShape LinearShape(const ModelConfig& config, Linear linear);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_LINEAR_H_
