#include "tools/client/requests.h"

namespace alchemist {

v1::CompleteRequest GreedyRequest(const std::vector<int32_t>& prompt, int64_t max_tokens) {
  v1::CompleteRequest request;
  request.mutable_tokens()->mutable_ids()->Add(prompt.begin(), prompt.end());
  request.set_max_tokens(max_tokens);
  request.set_temperature(0);
  return request;
}

v1::CompleteRequest GreedyRequest(const std::string& prompt, int64_t max_tokens) {
  v1::CompleteRequest request;
  request.set_text(prompt);
  request.set_max_tokens(max_tokens);
  request.set_temperature(0);
  return request;
}

v1::SubmitFeedbackRequest CorrectionOf(const std::string& completion_id, const std::string& key,
                                       const std::string& text) {
  v1::SubmitFeedbackRequest request;
  request.set_completion_id(completion_id);
  request.set_idempotency_key(key);
  request.mutable_correction()->set_text(text);
  return request;
}

v1::SubmitFeedbackRequest RatingOf(const std::string& completion_id, const std::string& key,
                                   int32_t value) {
  v1::SubmitFeedbackRequest request;
  request.set_completion_id(completion_id);
  request.set_idempotency_key(key);
  request.mutable_rating()->set_value(value);
  return request;
}

}  // namespace alchemist
