#include "model/lora_tensors.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace alchemist {

std::string LoraTensorName(int64_t layer, Linear linear, char factor) {
  return absl::StrCat("base_model.model.model.layers.", layer, ".", LinearModule(linear), ".lora_",
                      std::string(1, factor), ".weight");
}

SafetensorsWriter LoraWriter(const LoraAdapter& adapter) {
  const LoraConfig& config = adapter.config();
  // All 17 digits: other alphas are other texts, and so other digests.
  SafetensorsWriter writer(
      std::map<std::string, std::string>{{"lora_alpha", absl::StrFormat("%.17g", config.alpha)},
                                         {"use_rslora", config.rslora ? "true" : "false"}});
  for (int64_t layer = config.lowest_layer; layer < adapter.layers(); ++layer) {
    for (const Linear linear : config.targets) {
      const LoraView view = adapter.View(layer, linear);
      writer.Add(LoraTensorName(layer, linear, 'A'), {view.a.rows, view.a.width}, DType::kF32,
                 view.a.data);
      writer.Add(LoraTensorName(layer, linear, 'B'), {view.b.rows, view.b.width}, DType::kF32,
                 view.b.data);
    }
  }
  return writer;
}

}  // namespace alchemist
