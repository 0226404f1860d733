// Samples for pretraining: prompts with the completions to learn, and their file format, one JSON
// object {"prompt": ..., "response": ...} a line. Plain values; any thread.
#ifndef ALCHEMIST_TOOLS_WORLD_CORPUS_H_
#define ALCHEMIST_TOOLS_WORLD_CORPUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "tools/world/world.h"

namespace alchemist {

// The size of the vocabulary that suits these samples: common words are one token, names two or
// three.
inline constexpr int64_t kCorpusTokens = 1024;

struct Sample {
  std::string prompt;
  std::string response;  // The text ends after it.

  friend bool operator==(const Sample&, const Sample&) = default;
};

// Every taught fact in every form, in the order of facts. One epoch; a trainer shuffles it.
std::vector<Sample> PretrainingSamples(const World& world);

// All prompts and responses, apart as a server tokenises them: no token may join the end of a
// prompt to its answer. What the tokenizer is trained on.
std::vector<std::string> TextsOf(absl::Span<const Sample> samples);

// REQUIRES: the texts are UTF-8.
std::string FormatSamples(absl::Span<const Sample> samples);

// The reverse. InvalidArgument says what is wrong with which line of `name`, counted from 1.
absl::StatusOr<std::vector<Sample>> ParseSamples(absl::string_view text, absl::string_view name);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_WORLD_CORPUS_H_
