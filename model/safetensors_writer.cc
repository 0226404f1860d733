#include "model/safetensors_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "base/digest.h"
#include "base/file.h"
#include "base/logging.h"

namespace alchemist {
namespace {

// The data section begins at a multiple of this, so that readers who map the file find f32 tensors
// aligned.
constexpr size_t kAlignment = 64;

const char* SafetensorsName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBf16:
      return "BF16";
    case DType::kF16:
      return "F16";
  }
  LOG(FATAL) << "dtype " << static_cast<int>(dtype);
  return "";
}

// Wide elements first, as Hugging Face's writer does: no f32 then starts at an odd multiple of 2.
bool FileOrder(const SafetensorsTensor& a, const SafetensorsTensor& b) {
  return std::make_tuple(-BytesPerElement(a.dtype), absl::string_view(a.name)) <
         std::make_tuple(-BytesPerElement(b.dtype), absl::string_view(b.name));
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::map<std::string, std::string> metadata)
    : metadata_(std::move(metadata)) {
  metadata_["format"] = "pt";
}

void SafetensorsWriter::Add(const std::string& name, std::vector<int64_t> shape, DType dtype,
                            const void* data) {
  SafetensorsTensor tensor = {name, dtype, std::move(shape), 1,
                              static_cast<const std::byte*>(data)};
  for (const int64_t size : tensor.shape) {
    CHECK_GE(size, 0) << name;
    CHECK(!__builtin_mul_overflow(tensor.elements, size, &tensor.elements)) << name;
  }
  const auto place = std::lower_bound(tensors_.begin(), tensors_.end(), tensor, FileOrder);
  tensors_.insert(place, std::move(tensor));
}

std::string SafetensorsWriter::Header() const {
  nlohmann::json header = {{"__metadata__", metadata_}};
  int64_t offset = 0;
  for (const SafetensorsTensor& tensor : tensors_) {
    CHECK(!header.contains(tensor.name)) << tensor.name << " was added twice";
    header[tensor.name] = {{"dtype", SafetensorsName(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes()}}};
    offset += tensor.bytes();
  }
  std::string bytes(sizeof(uint64_t), '\0');
  bytes += header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  bytes.resize((bytes.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  const uint64_t json_bytes = bytes.size() - sizeof(uint64_t);
  for (size_t i = 0; i < sizeof(uint64_t); ++i) bytes[i] = static_cast<char>(json_bytes >> 8 * i);
  return bytes;
}

std::vector<absl::string_view> SafetensorsWriter::Pieces(absl::string_view header) const {
  std::vector<absl::string_view> pieces = {header};
  for (const SafetensorsTensor& tensor : tensors_) {
    pieces.emplace_back(reinterpret_cast<const char*>(tensor.data),
                        static_cast<size_t>(tensor.bytes()));
  }
  return pieces;
}

absl::Status SafetensorsWriter::WriteSynced(const std::string& path) const {
  const std::string header = Header();
  return WritePiecesSynced(path, Pieces(header));
}

std::string SafetensorsWriter::Sha256Hex() const {
  const std::string header = Header();
  Sha256 digest;
  for (const absl::string_view piece : Pieces(header)) digest.Add(piece);
  return digest.HexDigest();
}

}  // namespace alchemist
