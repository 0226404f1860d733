#include "model/safetensors.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json.h"

namespace alchemist {
namespace {

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kDimensionsMax = 8;
constexpr size_t kNameBytesMax = 256;
constexpr char kMetadata[] = "__metadata__";

absl::StatusOr<DType> ReadDType(const JsonNode& entry) {
  ASSIGN_OR_RETURN(const JsonNode field, entry.Get("dtype"));
  ASSIGN_OR_RETURN(const std::string name, field.String());
  if (name == "F32") return DType::kF32;
  if (name == "BF16") return DType::kBf16;
  if (name == "F16") return DType::kF16;
  return field.Unsupported(
      absl::StrCat("is \"", name.substr(0, 32), "\"; supported are F32, BF16 and F16"));
}

absl::Status ReadShape(const JsonNode& entry, SafetensorsTensor& tensor) {
  ASSIGN_OR_RETURN(const JsonNode field, entry.Get("shape"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> dimensions, field.Array());
  if (static_cast<int64_t>(dimensions.size()) > kDimensionsMax) {
    return field.Invalid(absl::StrCat("has more than ", kDimensionsMax, " dimensions"));
  }
  tensor.elements = 1;
  for (const JsonNode& dimension : dimensions) {
    ASSIGN_OR_RETURN(const int64_t size, dimension.Integer(0, INT64_MAX));
    tensor.shape.push_back(size);
    if (__builtin_mul_overflow(tensor.elements, size, &tensor.elements)) {
      return field.Invalid("has a product that overflows");
    }
  }
  int64_t bytes;
  if (__builtin_mul_overflow(tensor.elements, BytesPerElement(tensor.dtype), &bytes)) {
    return field.Invalid("has a size in bytes that overflows");
  }
  return absl::OkStatus();
}

// One tensor's entry of the header; `data` is the file's data section.
absl::StatusOr<SafetensorsTensor> ReadTensor(const std::string& name, const JsonNode& entry,
                                             absl::string_view data) {
  SafetensorsTensor tensor;
  tensor.name = name;
  ASSIGN_OR_RETURN(tensor.dtype, ReadDType(entry));
  RETURN_IF_ERROR(ReadShape(entry, tensor));
  ASSIGN_OR_RETURN(const JsonNode field, entry.Get("data_offsets"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> offsets, field.Array());
  if (offsets.size() != 2) return field.Invalid("must be [begin, end]");
  const int64_t data_bytes = static_cast<int64_t>(data.size());
  ASSIGN_OR_RETURN(const int64_t begin, offsets[0].Integer(0, data_bytes));
  ASSIGN_OR_RETURN(const int64_t end, offsets[1].Integer(begin, data_bytes));
  if (end - begin != tensor.bytes()) {
    return field.Invalid(absl::StrCat("spans ", end - begin, " bytes; ", DTypeName(tensor.dtype),
                                      " ", ShapeString(tensor.shape), " takes ", tensor.bytes()));
  }
  tensor.data = reinterpret_cast<const std::byte*>(data.data()) + begin;
  return tensor;
}

// The format wants every byte of the data section to belong to exactly one tensor.
absl::Status CheckTiling(std::vector<SafetensorsTensor>& tensors, absl::string_view data,
                         absl::string_view file) {
  std::sort(tensors.begin(), tensors.end(),
            [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
              return std::make_pair(a.data, a.elements) < std::make_pair(b.data, b.elements);
            });
  const std::byte* expected = reinterpret_cast<const std::byte*>(data.data());
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.data != expected) {
      return absl::InvalidArgumentError(absl::StrCat(
          file, ": ", tensor.name, ": data_offsets ",
          tensor.data < expected ? "overlap another tensor's" : "leave a hole before them"));
    }
    expected += tensor.bytes();
  }
  const int64_t rest = reinterpret_cast<const std::byte*>(data.data() + data.size()) - expected;
  if (rest == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": the last ", rest, " bytes belong to no tensor"));
}

bool NameLess(const SafetensorsTensor& a, const SafetensorsTensor& b) { return a.name < b.name; }

// Cuts the file into its header's text and its data section.
absl::Status Cut(absl::string_view file, absl::string_view name, absl::string_view& header,
                 absl::string_view& data) {
  if (static_cast<int64_t>(file.size()) < kLengthBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", file.size(), " bytes are too few for a header length"));
  }
  uint64_t header_bytes = 0;
  for (int64_t i = kLengthBytes - 1; i >= 0; --i) {
    header_bytes = header_bytes << 8 | static_cast<uint8_t>(file[i]);
  }
  file.remove_prefix(kLengthBytes);
  if (header_bytes > uint64_t{kSafetensorsHeaderBytesMax} || header_bytes > file.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": header length ", header_bytes, " is above the limit of ",
                     std::min<uint64_t>(kSafetensorsHeaderBytesMax, file.size()), " bytes"));
  }
  header = file.substr(0, header_bytes);
  data = file.substr(header_bytes);
  return absl::OkStatus();
}

}  // namespace

std::string ShapeString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<std::vector<SafetensorsTensor>> ParseSafetensors(absl::string_view file,
                                                                absl::string_view name) {
  absl::string_view header;
  absl::string_view data;
  RETURN_IF_ERROR(Cut(file, name, header, data));
  ASSIGN_OR_RETURN(const nlohmann::json document,
                   ParseJson(header, absl::StrCat(name, ": header")));
  RETURN_IF_ERROR(JsonNode(&document, absl::StrCat(name, ": header")).ExpectObject());
  std::vector<SafetensorsTensor> tensors;
  for (const auto& [tensor_name, entry] : document.items()) {
    if (tensor_name.size() > kNameBytesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": a tensor's name is longer than ", kNameBytesMax, " bytes"));
    }
    const JsonNode node(&entry, absl::StrCat(name, ": ", tensor_name, ":"));
    RETURN_IF_ERROR(node.ExpectObject());
    if (tensor_name == kMetadata) continue;
    ASSIGN_OR_RETURN(SafetensorsTensor tensor, ReadTensor(tensor_name, node, data));
    tensors.push_back(std::move(tensor));
  }
  RETURN_IF_ERROR(CheckTiling(tensors, data, name));
  std::sort(tensors.begin(), tensors.end(), NameLess);
  return tensors;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const absl::string_view content(reinterpret_cast<const char*>(file.data()),
                                  static_cast<size_t>(file.bytes()));
  ASSIGN_OR_RETURN(std::vector<SafetensorsTensor> tensors, ParseSafetensors(content, path));
  return SafetensorsFile(path, std::move(file), std::move(tensors));
}

const SafetensorsTensor* SafetensorsFile::Find(absl::string_view name) const {
  SafetensorsTensor key;
  key.name = std::string(name);
  const auto found = std::lower_bound(tensors_.begin(), tensors_.end(), key, NameLess);
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

}  // namespace alchemist
