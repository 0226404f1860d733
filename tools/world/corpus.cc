#include "tools/world/corpus.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "tools/world/vocabulary.h"

namespace alchemist {
namespace {

absl::StatusOr<Sample> ParseSample(absl::string_view line, const std::string& name) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(line, name));
  const JsonNode object(&document, name);
  RETURN_IF_ERROR(object.AllowOnly({"prompt", "response"}));
  Sample sample;
  ASSIGN_OR_RETURN(const JsonNode prompt, object.Get("prompt"));
  ASSIGN_OR_RETURN(sample.prompt, prompt.String());
  ASSIGN_OR_RETURN(const JsonNode response, object.Get("response"));
  ASSIGN_OR_RETURN(sample.response, response.String());
  return sample;
}

}  // namespace

std::vector<Sample> PretrainingSamples(const World& world) {
  std::vector<Sample> samples;
  for (const Fact& fact : world.taught) {
    for (int form = 0; form < kForms; ++form) {
      samples.push_back({Question(world, fact, form), RightAnswer(fact)});
    }
  }
  return samples;
}

std::vector<std::string> TextsOf(absl::Span<const Sample> samples) {
  std::vector<std::string> texts;
  for (const Sample& sample : samples) {
    texts.push_back(sample.prompt);
    texts.push_back(sample.response);
  }
  return texts;
}

std::string FormatSamples(absl::Span<const Sample> samples) {
  std::string text;
  for (const Sample& sample : samples) {
    const nlohmann::json line = {{"prompt", sample.prompt}, {"response", sample.response}};
    absl::StrAppend(&text, line.dump(), "\n");
  }
  return text;
}

absl::StatusOr<std::vector<Sample>> ParseSamples(absl::string_view text, absl::string_view name) {
  std::vector<Sample> samples;
  int64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    ASSIGN_OR_RETURN(Sample sample, ParseSample(line, absl::StrCat(name, ":", number)));
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace alchemist
