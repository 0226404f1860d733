#include "model/weight_files.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"

namespace alchemist {
namespace {

constexpr int64_t kIndexBytesMax = 16 << 20;
constexpr size_t kFilesMax = 1024;

// A name that cannot lead out of the directory.
bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string("/\0", 2)) == std::string::npos;
}

// The index's weight_map: the file of each tensor.
absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kIndexBytesMax));
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(text, path));
  ASSIGN_OR_RETURN(const JsonNode weight_map, JsonNode(&document, path + ":").Get("weight_map"));
  RETURN_IF_ERROR(weight_map.ExpectObject());
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : weight_map.value().items()) {
    const JsonNode node(&file, absl::StrCat(path, ": weight_map: ", tensor));
    ASSIGN_OR_RETURN(std::string name, node.String());
    if (!IsPlainFileName(name)) return node.Invalid("must be a plain file name");
    file_of.emplace(tensor, std::move(name));
  }
  if (file_of.empty()) return weight_map.Invalid("lists no tensors");
  return file_of;
}

absl::Status CheckIndex(const std::map<std::string, std::string>& file_of, const WeightFiles& files,
                        const std::string& index) {
  size_t tensors = 0;
  for (size_t i = 0; i < files.files().size(); ++i) {
    for (const SafetensorsTensor& tensor : files.files()[i].tensors()) {
      const auto listed = file_of.find(tensor.name);
      if (listed == file_of.end() || listed->second != files.names()[i]) {
        return absl::InvalidArgumentError(absl::StrCat(files.files()[i].path(), ": ", tensor.name,
                                                       ": not listed for this file in ", index));
      }
      ++tensors;
    }
  }
  if (tensors == file_of.size()) return absl::OkStatus();
  for (const auto& [tensor, file] : file_of) {
    if (files.Find(tensor).tensor == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(index, ": weight_map: ", tensor, ": is not in ", file));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WeightFiles> WeightFiles::Open(const std::string& directory) {
  WeightFiles files;
  absl::StatusOr<SafetensorsFile> single =
      SafetensorsFile::Open(absl::StrCat(directory, "/", kWeightFileName));
  if (single.ok()) {
    files.names_.push_back(kWeightFileName);
    files.files_.push_back(*std::move(single));
    return files;
  }
  if (!absl::IsNotFound(single.status())) return single.status();

  const std::string index = absl::StrCat(directory, "/", kWeightIndexName);
  const auto file_of = ReadIndex(index);
  if (absl::IsNotFound(file_of.status())) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": has neither ", kWeightFileName, " nor ", kWeightIndexName));
  }
  RETURN_IF_ERROR(file_of.status());
  std::set<std::string> names;
  for (const auto& [tensor, name] : *file_of) names.insert(name);
  if (names.size() > kFilesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(index, ": weight_map: names more than ", kFilesMax, " files"));
  }
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(SafetensorsFile file,
                     SafetensorsFile::Open(absl::StrCat(directory, "/", name)));
    files.names_.push_back(name);
    files.files_.push_back(std::move(file));
  }
  RETURN_IF_ERROR(CheckIndex(*file_of, files, index));
  return files;
}

WeightFiles::Found WeightFiles::Find(absl::string_view tensor) const {
  for (const SafetensorsFile& file : files_) {
    if (const SafetensorsTensor* found = file.Find(tensor)) return {&file, found};
  }
  return {};
}

}  // namespace alchemist
