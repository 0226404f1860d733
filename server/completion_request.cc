#include "server/completion_request.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
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
      // Before the work of tokenising: no longer text can fit.
      const int64_t bytes_max = model.context * tokenizer.token_bytes_max();
      if (static_cast<int64_t>(message.text().size()) > bytes_max) {
        return Invalid("text", absl::StrCat(message.text().size(), " bytes, the limit is ",
                                            bytes_max, " (the context in longest tokens)"));
      }
      absl::StatusOr<std::vector<int32_t>> encoded =
          tokenizer.Encode(message.text(), /*add_special_tokens=*/true);
      if (!encoded.ok()) {
        return absl::Status(encoded.status().code(),
                            absl::StrCat("text: ", encoded.status().message()));
      }
      tokens = *std::move(encoded);
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
  for (const int32_t token : tokens) {
    if (token < 0 || token >= model.vocab) {
      return Invalid("tokens", absl::StrCat(token, " is not in [0, ", model.vocab, ")"));
    }
  }
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
  return sampling;
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

absl::Status CheckTenant(const std::string& tenant) {
  RETURN_IF_ERROR(CheckId(kTenantKey, tenant));
  for (const char c : tenant) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-') {
      continue;
    }
    return Invalid(kTenantKey, "only A-Z a-z 0-9 . _ - are allowed");
  }
  return absl::OkStatus();
}

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
  request.logprobs = message.logprobs();
  request.priority = message.priority();
  request.no_train = message.no_train();
  return request;
}

}  // namespace alchemist
