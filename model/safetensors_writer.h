// SafetensorsWriter makes a safetensors file of tensors in memory. The same tensors give the same
// bytes, in whatever order they are added. One thread.
#ifndef ALCHEMIST_MODEL_SAFETENSORS_WRITER_H_
#define ALCHEMIST_MODEL_SAFETENSORS_WRITER_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "kernels/tensor_view.h"
#include "model/safetensors.h"

namespace alchemist {

class SafetensorsWriter {
 public:
  // `metadata` is written beside "format": "pt", which Hugging Face's readers ask for. All texts
  // are UTF-8.
  explicit SafetensorsWriter(std::map<std::string, std::string> metadata = {});

  // REQUIRES: no tensor of that name was added; `data` stays until the last call.
  void Add(const std::string& name, std::vector<int64_t> shape, DType dtype, const void* data);

  absl::Status WriteSynced(const std::string& path) const;
  std::string Sha256Hex() const;  // Of the bytes that WriteSynced writes.

 private:
  std::string Header() const;
  std::vector<absl::string_view> Pieces(absl::string_view header) const;

  std::map<std::string, std::string> metadata_;
  std::vector<SafetensorsTensor> tensors_;  // In file order.
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_SAFETENSORS_WRITER_H_
