#include "server/link_messages.h"

namespace alchemist {
namespace {

v1::FeedbackItem ItemOf(const CompletionRow& completion) {
  v1::FeedbackItem item;
  item.set_completion_id(completion.completion_id);
  *item.mutable_base() = ToMessage(completion.base);
  *item.mutable_behaviour() = ToMessage(completion.revision);
  *item.mutable_reference() = ToMessage(completion.revision);
  item.mutable_prompt_tokens()->Add(completion.prompt_tokens.begin(),
                                    completion.prompt_tokens.end());
  return item;
}

void SetAnswer(const CompletionRow& completion, v1::FeedbackItem& item) {
  item.mutable_response_tokens()->Add(completion.response_tokens.begin(),
                                      completion.response_tokens.end());
  item.mutable_behaviour_log_probs()->Add(completion.log_probs.begin(), completion.log_probs.end());
}

void SetCorrection(const FeedbackRow& feedback, v1::FeedbackItem& item) {
  item.set_item_id(feedback.feedback_id);
  item.set_is_correction(true);
  item.mutable_response_tokens()->Add(feedback.correction_tokens.begin(),
                                      feedback.correction_tokens.end());
}

v1::TensorRef ToMessage(const TensorSlot& slot) {
  v1::TensorRef ref;
  ref.set_tensor(slot.tensor);
  ref.set_residency(slot.residency);
  ref.set_offset(slot.offset);
  ref.set_bytes(slot.bytes);
  ref.set_generation(slot.generation);
  ref.set_first_row(slot.first_row);
  ref.set_rows(slot.rows);
  return ref;
}

v1::KvPageRef ToMessage(const KvPageSlot& slot) {
  v1::KvPageRef ref;
  ref.set_layer(slot.layer);
  ref.set_first_position(slot.first_position);
  ref.set_rows(slot.rows);
  ref.set_offset(slot.offset);
  ref.set_bytes(slot.bytes);
  ref.set_generation(slot.generation);
  ref.set_residency(slot.residency);
  return ref;
}

}  // namespace

v1::Revision ToMessage(const RevisionId& revision) {
  v1::Revision message;
  message.set_adapter_id(revision.adapter_id);
  message.set_number(static_cast<uint64_t>(revision.number));
  message.set_digest(revision.digest);
  return message;
}

v1::Base ToMessage(const BaseId& base) {
  v1::Base message;
  message.set_base_digest(base.base_digest);
  message.set_tokenizer_digest(base.tokenizer_digest);
  return message;
}

v1::RecordRef ToMessage(const RecordDescriptor& record) {
  v1::RecordRef message;
  message.set_lease_id(record.lease_id);
  message.set_record_id(record.record_id);
  *message.mutable_revision() = ToMessage(RevisionId{record.identity.adapter_id,
                                                     static_cast<int64_t>(record.identity.revision),
                                                     record.identity.revision_digest});
  message.set_parent_record(record.parent_record);
  message.set_parent_tokens(record.parent_tokens);
  message.set_tokens(record.tokens);
  for (const RunDescriptor& run : record.runs) {
    v1::RunRef& run_ref = *message.add_runs();
    run_ref.set_first_position(run.first_position);
    run_ref.set_rows(run.rows);
    for (size_t layer = 0; layer < run.layers.size(); ++layer) {
      if (run.layers[layer].empty()) continue;
      v1::LayerRef& layer_ref = *run_ref.add_layers();
      layer_ref.set_layer(static_cast<int64_t>(layer));
      for (const TensorSlot& slot : run.layers[layer]) *layer_ref.add_tensors() = ToMessage(slot);
    }
  }
  for (const KvPageSlot& slot : record.kv_pages) *message.add_kv_pages() = ToMessage(slot);
  return message;
}

v1::FeedbackItem FeedbackItemOf(const UnfinishedFeedback& unfinished) {
  const FeedbackRow& feedback = unfinished.feedback;
  v1::FeedbackItem item = ItemOf(unfinished.completion);
  item.set_kind(v1::ITEM_KIND_FEEDBACK);
  item.set_item_id(feedback.feedback_id);
  item.set_passes_done(static_cast<uint64_t>(feedback.passes));
  item.set_rating(feedback.rating);
  if (feedback.is_correction()) {
    SetCorrection(feedback, item);
  } else {
    SetAnswer(unfinished.completion, item);
  }
  return item;
}

v1::FeedbackItem ReplayItemOf(const CompletionRow& completion) {
  v1::FeedbackItem item = ItemOf(completion);
  item.set_kind(v1::ITEM_KIND_REPLAY);
  item.set_item_id(completion.completion_id);
  SetAnswer(completion, item);
  return item;
}

v1::FeedbackItem ReplayItemOf(const CompletionRow& completion, const FeedbackRow& correction) {
  v1::FeedbackItem item = ItemOf(completion);
  item.set_kind(v1::ITEM_KIND_REPLAY);
  SetCorrection(correction, item);
  return item;
}

std::vector<FeedbackProgress> ProgressOf(
    const google::protobuf::RepeatedPtrField<v1::FeedbackPassCount>& passes) {
  std::vector<FeedbackProgress> progress;
  for (const v1::FeedbackPassCount& count : passes) {
    const TrainingEnd end = count.quarantined() ? TrainingEnd::kQuarantined
                            : count.done()      ? TrainingEnd::kDone
                                                : TrainingEnd::kOpen;
    progress.push_back({count.feedback_id(), count.passes(), end});
  }
  return progress;
}

}  // namespace alchemist
