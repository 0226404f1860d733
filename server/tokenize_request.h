// Checks a TokenizeRequest or DetokenizeRequest and answers it. Pure; any thread.
#ifndef ALCHEMIST_SERVER_TOKENIZE_REQUEST_H_
#define ALCHEMIST_SERVER_TOKENIZE_REQUEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "model/tokenizer.h"
#include "proto/alchemist/v1/model.pb.h"

namespace alchemist {

// The tokens of a request's field "text": at most as many bytes as the context has tokens times
// those of the longest one, since no longer text can fit; checked before the work of tokenising.
absl::StatusOr<std::vector<int32_t>> EncodeText(const std::string& text, bool add_special_tokens,
                                                const Tokenizer& tokenizer,
                                                const ModelConfig& model);

// InvalidArgument names the field and its limit.
absl::StatusOr<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request,
                                              const Tokenizer& tokenizer, const ModelConfig& model);
absl::StatusOr<v1::DetokenizeResponse> Detokenize(const v1::DetokenizeRequest& request,
                                                  const Tokenizer& tokenizer,
                                                  const ModelConfig& model);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_TOKENIZE_REQUEST_H_
