#include "tools/pretrain/token_sequence.h"

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

absl::StatusOr<TokenSequence> SequenceOf(const Sample& sample, const Tokenizer& tokenizer,
                                         const ModelConfig& config) {
  TokenSequence sequence;
  ASSIGN_OR_RETURN(sequence.tokens, tokenizer.Encode(sample.prompt, /*add_special_tokens=*/true));
  if (sequence.tokens.empty()) return absl::InvalidArgumentError("prompt: has no tokens");
  sequence.first_trained = static_cast<int64_t>(sequence.tokens.size());
  ASSIGN_OR_RETURN(const std::vector<int32_t> response,
                   tokenizer.EncodeContinuation(sample.response));
  sequence.tokens.insert(sequence.tokens.end(), response.begin(), response.end());
  sequence.tokens.push_back(config.eos_ids[0]);
  if (sequence.rows() > config.context) {
    return absl::InvalidArgumentError(
        absl::StrCat(sequence.rows(), " tokens; the context holds ", config.context));
  }
  for (const int32_t token : sequence.tokens) {
    if (token < 0 || token >= config.vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", token, " is not below the vocabulary's ", config.vocab));
    }
  }
  return sequence;
}

}  // namespace

absl::StatusOr<std::vector<TokenSequence>> TokenSequences(absl::Span<const Sample> samples,
                                                          const Tokenizer& tokenizer,
                                                          const ModelConfig& config) {
  if (config.eos_ids.empty()) {
    return absl::InvalidArgumentError("the model names no end-of-sequence token");
  }
  std::vector<TokenSequence> sequences;
  for (const Sample& sample : samples) {
    absl::StatusOr<TokenSequence> sequence = SequenceOf(sample, tokenizer, config);
    if (!sequence.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample ", sequences.size(), ": ", sequence.status().message()));
    }
    sequences.push_back(*std::move(sequence));
  }
  return sequences;
}

}  // namespace alchemist
