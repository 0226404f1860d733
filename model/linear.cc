#include "model/linear.h"

#include <cstring>

#include "base/logging.h"

namespace alchemist {

const char* LinearModule(Linear linear) {
  switch (linear) {
    case Linear::kQ:
      return "self_attn.q_proj";
    case Linear::kK:
      return "self_attn.k_proj";
    case Linear::kV:
      return "self_attn.v_proj";
    case Linear::kO:
      return "self_attn.o_proj";
    case Linear::kGate:
      return "mlp.gate_proj";
    case Linear::kUp:
      return "mlp.up_proj";
    case Linear::kDown:
      return "mlp.down_proj";
  }
  LOG(FATAL) << "no linear " << static_cast<int>(linear);
  return "";
}

const char* LinearName(Linear linear) { return std::strchr(LinearModule(linear), '.') + 1; }

MatmulShape LinearShape(const ModelConfig& config, Linear linear) {
  switch (linear) {
    case Linear::kQ:
      return {config.hidden, config.q_width()};
    case Linear::kK:
    case Linear::kV:
      return {config.hidden, config.kv_width()};
    case Linear::kO:
      return {config.q_width(), config.hidden};
    case Linear::kGate:
    case Linear::kUp:
      return {config.hidden, config.ffn};
    case Linear::kDown:
      return {config.ffn, config.hidden};
  }
  LOG(FATAL) << "no linear " << static_cast<int>(linear);
  return {};
}

}  // namespace alchemist
