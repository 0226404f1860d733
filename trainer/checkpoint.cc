#include "trainer/checkpoint.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/kill_point.h"
#include "base/logging.h"
#include "trainer/gradient_file.h"

namespace alchemist {
namespace {

constexpr int64_t kStateBytesMax = int64_t{1} << 30;
constexpr int64_t kCountMax = int64_t{1} << 53;  // What JSON numbers hold exactly.
constexpr int64_t kManifestBytesMax = 1 << 20;
constexpr char kManifest[] = "/MANIFEST.json";
constexpr char kPrefix[] = "step-";
const char* const kFiles[] = {"adapter/adapter_config.json", "adapter/adapter_model.safetensors",
                              "moments.safetensors", "state.json"};

absl::Status FilesystemStatus(const std::string& path, const std::error_code& error) {
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
}

nlohmann::json ToJson(const CheckpointState& state) {
  nlohmann::json passes = nlohmann::json::object();
  for (const auto& [id, count] : state.passes) {
    passes[id] = {{"passes", count.passes}, {"done", count.done}};
    if (count.quarantined) passes[id]["quarantined"] = true;
  }
  return {{"format", 1},
          {"step", state.step},
          {"optimizer_steps", state.optimizer_steps},
          {"parent", state.parent},
          {"base_digest", state.base_digest},
          {"tokenizer_digest", state.tokenizer_digest},
          {"passes", std::move(passes)},
          {"lineage", state.lineage},
          {"drift_path", state.drift_path},
          {"adapter_norm", state.adapter_norm},
          {"drift_marks", state.drift_marks}};
}

absl::StatusOr<CheckpointState> FromJson(const JsonNode& node) {
  CheckpointState state;
  const auto integer = [&](absl::string_view key) -> absl::StatusOr<int64_t> {
    ASSIGN_OR_RETURN(const JsonNode member, node.Get(key));
    return member.Integer(0, kCountMax);
  };
  ASSIGN_OR_RETURN(const int64_t format, integer("format"));
  if (format != 1) return node.Unsupported("format: not 1");
  ASSIGN_OR_RETURN(state.step, integer("step"));
  ASSIGN_OR_RETURN(state.optimizer_steps, integer("optimizer_steps"));
  ASSIGN_OR_RETURN(const int64_t parent, integer("parent"));
  state.parent = static_cast<uint64_t>(parent);
  ASSIGN_OR_RETURN(state.base_digest, node.StringOr("base_digest", ""));
  ASSIGN_OR_RETURN(state.tokenizer_digest, node.StringOr("tokenizer_digest", ""));
  const double max = std::numeric_limits<double>::max();
  ASSIGN_OR_RETURN(state.drift_path, node.NumberOr("drift_path", 0, 0, max));
  ASSIGN_OR_RETURN(state.adapter_norm, node.NumberOr("adapter_norm", 0, 0, max));
  ASSIGN_OR_RETURN(const JsonNode passes, node.Get("passes"));
  RETURN_IF_ERROR(passes.ExpectObject());
  for (const auto& [id, value] : passes.value().items()) {
    const JsonNode entry(&value, absl::StrCat(passes.path(), ".", id));
    PassCount& count = state.passes[id];
    ASSIGN_OR_RETURN(count.passes, entry.IntegerOr("passes", 0, 0, kCountMax));
    ASSIGN_OR_RETURN(count.done, entry.BoolOr("done", false));
    ASSIGN_OR_RETURN(count.quarantined, entry.BoolOr("quarantined", false));
  }
  ASSIGN_OR_RETURN(const JsonNode lineage, node.Get("lineage"));
  RETURN_IF_ERROR(lineage.ExpectObject());
  for (const auto& [id, value] : lineage.value().items()) {
    const JsonNode entry(&value, absl::StrCat(lineage.path(), ".", id));
    ASSIGN_OR_RETURN(state.lineage[id], entry.Integer(0, kCountMax));
  }
  ASSIGN_OR_RETURN(const JsonNode marks, node.Get("drift_marks"));
  RETURN_IF_ERROR(marks.ExpectObject());
  for (const auto& [digest, value] : marks.value().items()) {
    const JsonNode entry(&value, absl::StrCat(marks.path(), ".", digest));
    ASSIGN_OR_RETURN(state.drift_marks[digest], entry.Number(0, max));
  }
  return state;
}

// The manifest is a function of the files, so that a damaged one is seen as well.
absl::StatusOr<std::string> ManifestOf(const std::string& directory) {
  nlohmann::json files = nlohmann::json::object();
  for (const char* file : kFiles) {
    ASSIGN_OR_RETURN(files[file], Sha256OfFile(absl::StrCat(directory, "/", file)));
  }
  return nlohmann::json({{"format", 1}, {"sha256", std::move(files)}}).dump(1) + "\n";
}

absl::Status VerifyManifest(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::string manifest, ReadFile(directory + kManifest, kManifestBytesMax));
  ASSIGN_OR_RETURN(const std::string wanted, ManifestOf(directory));
  if (manifest == wanted) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(directory, ": the files are not those of the manifest"));
}

// The steps of all checkpoint directories, newest first.
std::vector<int64_t> StepsIn(const std::string& directory) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    absl::string_view digits = name;
    int64_t step = 0;
    if (absl::ConsumePrefix(&digits, kPrefix) && absl::SimpleAtoi(digits, &step)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

std::string DirectoryOf(const std::string& directory, int64_t step) {
  return absl::StrCat(directory, "/", kPrefix, step);
}

// Renames `aside` to `path`. What stands there (a damaged checkpoint of the same step, or one that
// marked feedback as done since) goes to `aside`, which the next save removes: at no moment is
// there none.
absl::Status PutInPlace(const std::string& aside, const std::string& path) {
  if (std::rename(aside.c_str(), path.c_str()) == 0) return absl::OkStatus();
  if (errno != EEXIST && errno != ENOTEMPTY) return ErrnoStatus("rename", aside);
  if (renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus("renameat2", aside);
}

absl::StatusOr<Checkpoint> Load(const std::string& path, int64_t step, const Model& model) {
  RETURN_IF_ERROR(VerifyManifest(path));
  Checkpoint checkpoint;
  const std::string state_path = path + "/state.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(state_path, kStateBytesMax));
  ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, state_path));
  ASSIGN_OR_RETURN(checkpoint.state, FromJson(JsonNode(&json, state_path)));
  if (checkpoint.state.step != step) {
    return absl::DataLossError(absl::StrCat(state_path, ": step ", checkpoint.state.step));
  }
  if (checkpoint.state.base_digest != model.base_digest()) return checkpoint;  // Refused below.
  ASSIGN_OR_RETURN(checkpoint.adapter, LoraAdapter::Load(path + "/adapter", model.config()));
  const std::string moments = path + "/moments.safetensors";
  ASSIGN_OR_RETURN(checkpoint.first_moment,
                   ReadAdapterTensors(moments, "first.", *checkpoint.adapter));
  ASSIGN_OR_RETURN(checkpoint.second_moment,
                   ReadAdapterTensors(moments, "second.", *checkpoint.adapter));
  return checkpoint;
}

}  // namespace

absl::Status SaveCheckpoint(const std::string& directory, const CheckpointState& state,
                            const LoraAdapter& adapter, AdapterGradients& first_moment,
                            AdapterGradients& second_moment, const Model& model, int keep) {
  const std::string aside = directory + "/.tmp";
  const std::string path = DirectoryOf(directory, state.step);
  std::error_code error;
  std::filesystem::remove_all(aside, error);
  std::filesystem::create_directories(aside, error);
  RETURN_IF_ERROR(FilesystemStatus(aside, error));
  RETURN_IF_ERROR(adapter.Save(aside + "/adapter", model.directory()));
  SafetensorsWriter moments;
  AddAdapterTensors("first.", adapter, first_moment, moments);
  AddAdapterTensors("second.", adapter, second_moment, moments);
  RETURN_IF_ERROR(moments.WriteSynced(aside + "/moments.safetensors"));
  KILL_POINT("checkpoint.moments_written");
  RETURN_IF_ERROR(WriteFileSynced(aside + "/state.json", ToJson(state).dump() + "\n"));
  ASSIGN_OR_RETURN(const std::string manifest, ManifestOf(aside));
  RETURN_IF_ERROR(WriteFileSynced(aside + kManifest, manifest));
  RETURN_IF_ERROR(SyncDirectory(aside));
  KILL_POINT("checkpoint.before_rename");
  RETURN_IF_ERROR(PutInPlace(aside, path));
  RETURN_IF_ERROR(SyncDirectory(directory));
  KILL_POINT("checkpoint.after_rename");
  const std::vector<int64_t> steps = StepsIn(directory);
  for (size_t i = static_cast<size_t>(keep); i < steps.size(); ++i) {
    if (steps[i] == state.step) continue;  // Damaged ones of later steps do not displace it.
    std::filesystem::remove_all(DirectoryOf(directory, steps[i]), error);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Checkpoint>> LoadNewestCheckpoint(
    const std::string& directory, const Model& model, const std::string& tokenizer_digest) {
  for (const int64_t step : StepsIn(directory)) {
    const std::string path = DirectoryOf(directory, step);
    absl::StatusOr<Checkpoint> checkpoint = Load(path, step, model);
    if (!checkpoint.ok()) {
      LOG(ERROR) << "checkpoint passed over: " << checkpoint.status();
      continue;
    }
    if (checkpoint->state.base_digest != model.base_digest() ||
        checkpoint->state.tokenizer_digest != tokenizer_digest) {
      return absl::FailedPreconditionError(
          absl::StrCat(path,
                       ": is of another base model or tokenizer; choose another "
                       "--checkpoint_dir for this model"));
    }
    return std::optional<Checkpoint>(*std::move(checkpoint));
  }
  return std::nullopt;
}

}  // namespace alchemist
