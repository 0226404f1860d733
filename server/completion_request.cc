#include "server/completion_request.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/call_metadata.h"
#include "server/tokenize_request.h"

namespace alchemist {
namespace {

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

// NaN is in no range.
template <typename Number>
absl::Status CheckRange(absl::string_view field, Number value, Number smallest, Number largest) {
  if (value >= smallest && value <= largest) return absl::OkStatus();
  return Invalid(field, absl::StrCat(value, " is not in [", smallest, ", ", largest, "]"));
}

absl::Status CheckCount(absl::string_view field, int64_t count, int64_t limit) {
  if (count <= limit) return absl::OkStatus();
  return Invalid(field, absl::StrCat(count, " entries, the limit is ", limit));
}

absl::Status CheckToken(absl::string_view field, int32_t token, const ModelConfig& model) {
  if (token >= 0 && token < model.vocab) return absl::OkStatus();
  return Invalid(field, absl::StrCat(token, " is not in [0, ", model.vocab, ")"));
}

absl::Status CheckId(absl::string_view field, const std::string& id) {
  if (static_cast<int64_t>(id.size()) <= kIdBytesMax) return absl::OkStatus();
  return Invalid(field, absl::StrCat(id.size(), " bytes, the limit is ", kIdBytesMax));
}

absl::StatusOr<std::vector<int32_t>> PromptTokens(const v1::CompleteRequest& message,
                                                  const Tokenizer& tokenizer,
                                                  const ModelConfig& model, int64_t tokens_max) {
  std::vector<int32_t> tokens;
  switch (message.prompt_case()) {
    case v1::CompleteRequest::kText: {
      ASSIGN_OR_RETURN(tokens,
                       EncodeText(message.text(), /*add_special_tokens=*/true, tokenizer, model));
      break;
    }
    case v1::CompleteRequest::kTokens:
      tokens.assign(message.tokens().ids().begin(), message.tokens().ids().end());
      break;
    case v1::CompleteRequest::PROMPT_NOT_SET:
      return Invalid("prompt", "neither text nor tokens is set");
  }
  if (tokens.empty()) return Invalid("prompt", "has no tokens");
  if (static_cast<int64_t>(tokens.size()) >= tokens_max) {
    return Invalid("prompt",
                   absl::StrCat(tokens.size(), " tokens, the limit is ", tokens_max - 1,
                                tokens_max == model.context ? " (the model's context less one)"
                                                            : " (what the K/V memory holds)"));
  }
  for (const int32_t token : tokens) RETURN_IF_ERROR(CheckToken("tokens", token, model));
  return tokens;
}

absl::StatusOr<SamplingParams> Sampling(const v1::CompleteRequest& message,
                                        const ModelConfig& model) {
  SamplingParams sampling;
  if (message.has_temperature()) sampling.temperature = message.temperature();
  if (message.has_top_p()) sampling.top_p = message.top_p();
  if (message.has_top_k()) sampling.top_k = message.top_k();
  if (!(sampling.temperature >= 0 && sampling.temperature <= 100)) {
    return Invalid("temperature", absl::StrCat(sampling.temperature, " is not in [0, 100]"));
  }
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    return Invalid("top_p", absl::StrCat(sampling.top_p, " is not in (0, 1]"));
  }
  if (sampling.top_k < 0 || sampling.top_k > model.vocab) {
    return Invalid("top_k", absl::StrCat(sampling.top_k, " is not in [0, ", model.vocab, "]"));
  }
  sampling.min_p = message.min_p();
  RETURN_IF_ERROR(CheckRange("min_p", sampling.min_p, 0.0, 1.0));
  return sampling;
}

absl::StatusOr<LogitAdjustments> Adjustments(const v1::CompleteRequest& message,
                                             const ModelConfig& model) {
  LogitAdjustments adjustments;
  if (message.has_repetition_penalty()) {
    adjustments.repetition_penalty = message.repetition_penalty();
  }
  adjustments.presence_penalty = message.presence_penalty();
  adjustments.frequency_penalty = message.frequency_penalty();
  RETURN_IF_ERROR(CheckRange("presence_penalty", adjustments.presence_penalty, -2.0, 2.0));
  RETURN_IF_ERROR(CheckRange("frequency_penalty", adjustments.frequency_penalty, -2.0, 2.0));
  if (!(adjustments.repetition_penalty > 0 && adjustments.repetition_penalty <= 2)) {
    return Invalid("repetition_penalty",
                   absl::StrCat(adjustments.repetition_penalty, " is not in (0, 2]"));
  }
  RETURN_IF_ERROR(CheckCount("logit_bias", message.logit_bias_size(), kLogitBiasMax));
  for (const auto& [token, bias] : message.logit_bias()) {
    RETURN_IF_ERROR(CheckToken("logit_bias", token, model));
    RETURN_IF_ERROR(CheckRange("logit_bias", bias, -100.0f, 100.0f));
    adjustments.bias.push_back({token, bias});
  }
  return adjustments;
}

// When an answer ends, and how many there are.
absl::Status SetEnds(const v1::CompleteRequest& message, const ModelConfig& model,
                     CompletionRequest& request) {
  RETURN_IF_ERROR(CheckCount("stop_token_ids", message.stop_token_ids_size(), kStopTokensMax));
  for (const int32_t token : message.stop_token_ids()) {
    RETURN_IF_ERROR(CheckToken("stop_token_ids", token, model));
    request.stop_token_ids.push_back(token);
  }
  request.ignore_eos = message.ignore_eos();
  request.min_tokens = message.min_tokens();
  RETURN_IF_ERROR(CheckRange("min_tokens", request.min_tokens, int64_t{0}, request.max_tokens));
  if (message.has_n()) request.choices = message.n();
  return CheckRange("n", request.choices, int64_t{1}, kChoicesMax);
}

absl::Status SetLogprobs(const v1::CompleteRequest& message, CompletionRequest& request) {
  request.logprobs = message.logprobs();
  request.top_logprobs = message.top_logprobs();
  RETURN_IF_ERROR(CheckRange("top_logprobs", request.top_logprobs, int64_t{0}, kTopLogprobsMax));
  if (!message.has_prompt_logprobs()) return absl::OkStatus();
  request.prompt_logprobs = message.prompt_logprobs();
  const int64_t tokens = static_cast<int64_t>(request.prompt_tokens.size());
  if (tokens > kScoredTokensMax) {
    return Invalid("prompt_logprobs", absl::StrCat("the prompt has ", tokens,
                                                   " tokens, the limit is ", kScoredTokensMax));
  }
  return CheckRange("prompt_logprobs", *request.prompt_logprobs, int64_t{0}, kTopLogprobsMax);
}

absl::Status CheckStop(const v1::CompleteRequest& message) {
  if (message.stop_size() > kStopStringsMax) {
    return Invalid("stop",
                   absl::StrCat(message.stop_size(), " strings, the limit is ", kStopStringsMax));
  }
  for (const std::string& stop : message.stop()) {
    if (stop.empty() || static_cast<int64_t>(stop.size()) > kStopBytesMax) {
      return Invalid("stop", absl::StrCat("a string of ", stop.size(), " bytes, allowed are 1 to ",
                                          kStopBytesMax));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompletionRequest> ParseCompleteRequest(const v1::CompleteRequest& message,
                                                       const Tokenizer& tokenizer,
                                                       const ModelConfig& model, int64_t tokens_max,
                                                       uint64_t seed) {
  RETURN_IF_ERROR(CheckId("adapter_id", message.adapter_id()));
  RETURN_IF_ERROR(CheckId("session_id", message.session_id()));
  RETURN_IF_ERROR(CheckStop(message));
  CompletionRequest request;
  tokens_max = std::min(tokens_max, model.context);
  ASSIGN_OR_RETURN(request.sampling, Sampling(message, model));
  ASSIGN_OR_RETURN(request.prompt_tokens, PromptTokens(message, tokenizer, model, tokens_max));
  const int64_t room = tokens_max - static_cast<int64_t>(request.prompt_tokens.size());
  const int64_t wanted = message.has_max_tokens() ? message.max_tokens() : kMaxTokensDefault;
  if (wanted < 1) return Invalid("max_tokens", absl::StrCat(wanted, " is below 1"));
  request.max_tokens = std::min(wanted, room);
  request.adapter_id = message.adapter_id();
  request.session_id = message.session_id();
  request.seed = message.has_seed() ? message.seed() : seed;
  request.stop.assign(message.stop().begin(), message.stop().end());
  ASSIGN_OR_RETURN(request.adjustments, Adjustments(message, model));
  RETURN_IF_ERROR(SetEnds(message, model, request));
  RETURN_IF_ERROR(SetLogprobs(message, request));
  request.priority = message.priority();
  request.no_train = message.no_train();
  return request;
}

}  // namespace alchemist
