#include "trainer/gradient_dump.h"

#include <google/protobuf/util/json_util.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "model/safetensors_writer.h"
#include "proto/alchemist/v1/link.pb.h"
#include "trainer/gradient_file.h"

namespace alchemist {
namespace {

v1::FeedbackItem MessageOf(const TrainingItem& item, const v1::Base& base,
                           const std::string& adapter_digest) {
  v1::FeedbackItem message;
  message.set_kind(item.replay ? v1::ITEM_KIND_REPLAY : v1::ITEM_KIND_FEEDBACK);
  message.set_item_id(item.item_id);
  message.set_completion_id(item.completion_id);
  *message.mutable_base() = base;
  message.set_is_correction(item.is_correction);
  message.mutable_prompt_tokens()->Add(item.prompt_tokens.begin(), item.prompt_tokens.end());
  message.mutable_response_tokens()->Add(item.response_tokens.begin(), item.response_tokens.end());
  v1::Revision& revision = *message.mutable_record()->mutable_revision();
  revision.set_adapter_id(item.behaviour.adapter_id);
  revision.set_digest(adapter_digest);
  return message;
}

}  // namespace

absl::Status DumpGradients(const std::string& directory, int64_t step,
                           const std::vector<DumpedItem>& items, const v1::Base& base,
                           AdapterGradients& gradients) {
  std::error_code error;
  std::filesystem::create_directories(directory + "/adapters", error);
  if (error) return absl::UnavailableError(absl::StrCat(directory, ": ", error.message()));
  std::string lines;
  for (const DumpedItem& dumped : items) {
    // A snapshot of unpublished weights gets its digest here.
    const std::unique_ptr<LoraAdapter> adapter = dumped.adapter->Clone();
    adapter->UpdateDigest();
    const std::string path = absl::StrCat(directory, "/adapters/", adapter->digest());
    if (!std::filesystem::exists(path)) RETURN_IF_ERROR(adapter->Save(path, base.base_digest()));
    std::string json;
    const auto status = google::protobuf::util::MessageToJsonString(
        MessageOf(*dumped.item, base, adapter->digest()), &json);
    if (!status.ok()) return absl::InternalError(std::string(status.message()));
    absl::StrAppend(&lines, json, "\n");
  }
  const std::string stem = absl::StrCat(directory, "/step-", step);
  RETURN_IF_ERROR(WriteFileSynced(stem + ".items.jsonl", lines));
  SafetensorsWriter writer;
  AddAdapterTensors("", *items[0].adapter, gradients, writer);
  return writer.WriteSynced(stem + ".gradients.safetensors");
}

}  // namespace alchemist
