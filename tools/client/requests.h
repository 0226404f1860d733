// Requests of AlchemistClient in one line each. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_CLIENT_REQUESTS_H_
#define ALCHEMIST_TOOLS_CLIENT_REQUESTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "proto/alchemist/v1/completion.pb.h"
#include "proto/alchemist/v1/feedback.pb.h"

namespace alchemist {

v1::CompleteRequest GreedyRequest(const std::vector<int32_t>& prompt, int64_t max_tokens);
v1::CompleteRequest GreedyRequest(const std::string& prompt, int64_t max_tokens);
// `key` is the idempotency key.
v1::SubmitFeedbackRequest CorrectionOf(const std::string& completion_id, const std::string& key,
                                       const std::string& text);
v1::SubmitFeedbackRequest RatingOf(const std::string& completion_id, const std::string& key,
                                   int32_t value);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_CLIENT_REQUESTS_H_
