// The header of a safetensors file, and the tensors that it places in the file.
#include "absl/strings/string_view.h"
#include "base/logging.h"
#include "model/safetensors.h"
#include "tests/fuzz/fuzz_target.h"

namespace alchemist {

bool TakesInput(absl::string_view input) {
  const auto tensors = ParseSafetensors(input, "fuzz");
  if (!tensors.ok()) return false;
  const auto* const end = reinterpret_cast<const std::byte*>(input.data() + input.size());
  int64_t bytes = 0;
  for (const SafetensorsTensor& tensor : *tensors) {
    bytes += tensor.bytes();
    CHECK_GE(tensor.data, reinterpret_cast<const std::byte*>(input.data()));
    CHECK_LE(tensor.bytes(), end - tensor.data);
  }
  CHECK_LE(bytes, static_cast<int64_t>(input.size()));
  return true;
}

}  // namespace alchemist
