// PostProcessor: the tokens that tokenizer.json's `post_processor` puts around those of a text:
// TemplateProcessing (its `single` template), ByteLevel, Sequence. Immutable; any thread.
#ifndef ALCHEMIST_MODEL_TOKENIZER_POST_PROCESSOR_H_
#define ALCHEMIST_MODEL_TOKENIZER_POST_PROCESSOR_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace alchemist {

class PostProcessor {
 public:
  // `is_token` says whether an id has a token; templates may name no other. nullopt adds nothing.
  static absl::StatusOr<PostProcessor> Parse(const std::optional<JsonNode>& node,
                                             const std::function<bool(int32_t)>& is_token);

  const std::vector<int32_t>& prefix() const { return prefix_; }
  const std::vector<int32_t>& suffix() const { return suffix_; }

 private:
  PostProcessor() = default;

  absl::Status Add(const JsonNode& node, const std::function<bool(int32_t)>& is_token);
  absl::Status AddTemplate(const JsonNode& node, const std::function<bool(int32_t)>& is_token);

  std::vector<int32_t> prefix_;
  std::vector<int32_t> suffix_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_POST_PROCESSOR_H_
