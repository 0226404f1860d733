// The weight files of a Hugging Face directory: model.safetensors, or the shards that
// model.safetensors.index.json lists. Owned by whoever loads a model; immutable; any thread.
#ifndef ALCHEMIST_MODEL_WEIGHT_FILES_H_
#define ALCHEMIST_MODEL_WEIGHT_FILES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "model/safetensors.h"

namespace alchemist {

inline constexpr char kWeightFileName[] = "model.safetensors";
inline constexpr char kWeightIndexName[] = "model.safetensors.index.json";

class WeightFiles {
 public:
  // A single file is preferred to an index, as Hugging Face does. InvalidArgument when index and
  // shards disagree about a tensor, or the index names a file outside of the directory.
  static absl::StatusOr<WeightFiles> Open(const std::string& directory);

  const std::vector<std::string>& names() const { return names_; }  // Ascending, in `directory`.
  const std::vector<SafetensorsFile>& files() const { return files_; }  // In the order of names().

  struct Found {
    const SafetensorsFile* file = nullptr;
    const SafetensorsTensor* tensor = nullptr;  // Null: no file has it.
  };
  Found Find(absl::string_view tensor) const;

 private:
  std::vector<std::string> names_;
  std::vector<SafetensorsFile> files_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_WEIGHT_FILES_H_
