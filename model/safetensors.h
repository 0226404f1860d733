// Safetensors, the file format of weights: 8 bytes of header length, a JSON header, the tensors'
// bytes. Everything in a file is checked before any of it is used; what was checked stays true only
// while nobody truncates the file, which is mapped. Immutable after Open; any thread.
#ifndef ALCHEMIST_MODEL_SAFETENSORS_H_
#define ALCHEMIST_MODEL_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/status.h"
#include "kernels/tensor_view.h"

namespace alchemist {

inline constexpr int64_t kSafetensorsHeaderBytesMax = 16 << 20;

struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int64_t elements = 0;
  const std::byte* data = nullptr;  // In the file's memory, at any alignment.

  int64_t bytes() const { return elements * BytesPerElement(dtype); }
};

// "[2048, 128]", for errors.
std::string ShapeString(absl::Span<const int64_t> shape);

// The tensors of a whole file in memory, by ascending name. `name` stands in the errors, which name
// tensor and field: InvalidArgument for a file that breaks the format (a length or an offset out of
// bounds, offsets that are not the shape's size, tensors that overlap or leave a hole, a key
// twice), Unimplemented for an element type other than F32, BF16 and F16.
absl::StatusOr<std::vector<SafetensorsTensor>> ParseSafetensors(absl::string_view file,
                                                                absl::string_view name);

class SafetensorsFile {
 public:
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // By ascending name.
  const SafetensorsTensor* Find(absl::string_view name) const;                // Null: not there.

 private:
  SafetensorsFile(std::string path, MappedFile file, std::vector<SafetensorsTensor> tensors)
      : path_(std::move(path)), file_(std::move(file)), tensors_(std::move(tensors)) {}

  std::string path_;
  MappedFile file_;
  std::vector<SafetensorsTensor> tensors_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_SAFETENSORS_H_
