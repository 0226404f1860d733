#include "trainer/gradient_file.h"

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/safetensors.h"

namespace alchemist {
namespace {

// Calls visit(name, tensor) for every tensor.
template <typename Visit>
void ForEachTensor(const std::string& prefix, const LoraAdapter& adapter, AdapterGradients& tensors,
                   Visit visit) {
  for (int64_t layer = 0; layer < adapter.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      if (adapter.View(layer, linear).a.data == nullptr) continue;
      const std::string name = absl::StrCat(prefix, "layers.", layer, ".", LinearName(linear));
      visit(name + ".A", tensors.A(layer, linear));
      visit(name + ".B", tensors.B(layer, linear));
    }
  }
}

}  // namespace

void AddAdapterTensors(const std::string& prefix, const LoraAdapter& adapter,
                       AdapterGradients& tensors, SafetensorsWriter& writer) {
  ForEachTensor(prefix, adapter, tensors, [&](const std::string& name, TensorView tensor) {
    writer.Add(name, {tensor.rows, tensor.width}, DType::kF32, tensor.data);
  });
}

absl::StatusOr<AdapterGradients> ReadAdapterTensors(const std::string& path,
                                                    const std::string& prefix,
                                                    const LoraAdapter& adapter) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  AdapterGradients tensors(adapter);
  absl::Status status;
  ForEachTensor(prefix, adapter, tensors, [&](const std::string& name, TensorView tensor) {
    const SafetensorsTensor* stored = file.Find(name);
    if (stored == nullptr || stored->dtype != DType::kF32 ||
        stored->shape != std::vector<int64_t>{tensor.rows, tensor.width}) {
      status.Update(absl::InvalidArgumentError(absl::StrCat(
          path, ": ", name, ": missing, or not f32 [", tensor.rows, ", ", tensor.width, "]")));
      return;
    }
    std::memcpy(tensor.data, stored->data, static_cast<size_t>(tensor.bytes()));
  });
  if (!status.ok()) return status;
  return tensors;
}

}  // namespace alchemist
