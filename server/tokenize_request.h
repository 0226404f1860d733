// Checks a TokenizeRequest or DetokenizeRequest and answers it. Pure; any thread.
#ifndef ALCHEMIST_SERVER_TOKENIZE_REQUEST_H_
#define ALCHEMIST_SERVER_TOKENIZE_REQUEST_H_

#include "base/status.h"
#include "model/config.h"
#include "model/tokenizer.h"
#include "proto/alchemist/v1/model.pb.h"

namespace alchemist {

// InvalidArgument names the field and its limit: a text has that of Complete's, checked before the
// work of tokenising.
absl::StatusOr<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request,
                                              const Tokenizer& tokenizer, const ModelConfig& model);
absl::StatusOr<v1::DetokenizeResponse> Detokenize(const v1::DetokenizeRequest& request,
                                                  const Tokenizer& tokenizer,
                                                  const ModelConfig& model);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_TOKENIZE_REQUEST_H_
