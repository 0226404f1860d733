#include "server/tokenize_request.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"

namespace alchemist {

absl::StatusOr<std::vector<int32_t>> EncodeText(const std::string& text, bool add_special_tokens,
                                                const Tokenizer& tokenizer,
                                                const ModelConfig& model) {
  const int64_t bytes_max = model.context * tokenizer.token_bytes_max();
  if (static_cast<int64_t>(text.size()) > bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat("text: ", text.size(), " bytes, the limit is ",
                                                   bytes_max, " (the context in longest tokens)"));
  }
  absl::StatusOr<std::vector<int32_t>> tokens = tokenizer.Encode(text, add_special_tokens);
  if (tokens.ok()) return tokens;
  return absl::Status(tokens.status().code(), absl::StrCat("text: ", tokens.status().message()));
}

absl::StatusOr<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request,
                                              const Tokenizer& tokenizer,
                                              const ModelConfig& model) {
  const bool add_special_tokens = !request.has_add_special_tokens() || request.add_special_tokens();
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                   EncodeText(request.text(), add_special_tokens, tokenizer, model));
  v1::TokenizeResponse response;
  response.mutable_tokens()->Add(tokens.begin(), tokens.end());
  return response;
}

absl::StatusOr<v1::DetokenizeResponse> Detokenize(const v1::DetokenizeRequest& request,
                                                  const Tokenizer& tokenizer,
                                                  const ModelConfig& model) {
  if (request.tokens_size() > model.context) {
    return absl::InvalidArgumentError(absl::StrCat("tokens: ", request.tokens_size(),
                                                   " of them, the limit is ", model.context,
                                                   " (the model's context)"));
  }
  for (const int32_t token : request.tokens()) {
    if (token < 0 || token >= model.vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("tokens: ", token, " is not in [0, ", model.vocab, ")"));
    }
  }
  v1::DetokenizeResponse response;
  response.set_text(tokenizer.Decode(request.tokens(), /*skip_special_tokens=*/true));
  return response;
}

}  // namespace alchemist
