#include "trainer/training_item.h"

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

RevisionName NameOf(const v1::Revision& revision) {
  return {revision.adapter_id(), revision.number(), revision.digest()};
}

absl::Status CheckTokens(absl::string_view field, const std::vector<int32_t>& tokens,
                         int64_t vocab) {
  if (tokens.empty()) return absl::InvalidArgumentError(absl::StrCat(field, ": empty"));
  for (const int32_t token : tokens) {
    if (token < 0 || token >= vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": token ", token, " is not in [0, ", vocab, ")"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string ItemLogId(const TrainingItem& item) {
  std::string id = item.replay ? "replayed " : "";
  if (item.item_id != item.completion_id) absl::StrAppend(&id, "feedback ", item.item_id, " on ");
  absl::StrAppend(&id, "completion ", item.completion_id, " revision ", item.behaviour.number);
  return id;
}

absl::StatusOr<TrainingItem> ParseItem(const v1::FeedbackItem& message, const ModelConfig& model,
                                       const v1::Base& base) {
  if (message.item_id().empty()) return absl::InvalidArgumentError("item_id: empty");
  if (message.kind() != v1::ITEM_KIND_FEEDBACK && message.kind() != v1::ITEM_KIND_REPLAY) {
    return absl::InvalidArgumentError(absl::StrCat(message.item_id(), ": kind: ", message.kind()));
  }
  if (message.base().base_digest() != base.base_digest() ||
      message.base().tokenizer_digest() != base.tokenizer_digest()) {
    return absl::InvalidArgumentError(
        absl::StrCat(message.item_id(), ": base: another model or tokenizer"));
  }
  TrainingItem item;
  item.replay = message.kind() == v1::ITEM_KIND_REPLAY;
  item.is_correction = message.is_correction();
  item.item_id = message.item_id();
  item.completion_id = message.completion_id();
  item.behaviour = NameOf(message.behaviour());
  item.reference = NameOf(message.reference());
  item.prompt_tokens.assign(message.prompt_tokens().begin(), message.prompt_tokens().end());
  item.response_tokens.assign(message.response_tokens().begin(), message.response_tokens().end());
  item.behaviour_log_probs.assign(message.behaviour_log_probs().begin(),
                                  message.behaviour_log_probs().end());
  RETURN_IF_ERROR(CheckTokens(item.item_id + ": prompt_tokens", item.prompt_tokens, model.vocab));
  RETURN_IF_ERROR(
      CheckTokens(item.item_id + ": response_tokens", item.response_tokens, model.vocab));
  if (item.prompt_rows() + item.response_rows() + 1 > model.context) {
    return absl::InvalidArgumentError(absl::StrCat(message.item_id(), ": ",
                                                   item.prompt_rows() + item.response_rows() + 1,
                                                   " tokens, the context has ", model.context));
  }
  return item;
}

}  // namespace alchemist
