#include "model/tokenizer/text_pattern.h"

#include <utility>

namespace alchemist {

absl::StatusOr<TextPattern> TextPattern::Parse(const JsonNode& node) {
  RETURN_IF_ERROR(node.AllowOnly({"String", "Regex"}));
  if (node.value().size() != 1) return node.Invalid("must have one of String and Regex");
  if (const std::optional<JsonNode> regex = node.Find("Regex")) {
    ASSIGN_OR_RETURN(const std::string pattern, regex->String());
    ASSIGN_OR_RETURN(Regex compiled, Regex::Compile(pattern, regex->path()));
    return TextPattern(std::move(compiled));
  }
  ASSIGN_OR_RETURN(const JsonNode string, node.Get("String"));
  ASSIGN_OR_RETURN(std::string part, string.String());
  if (part.empty()) return string.Unsupported("is empty, which is not supported");
  return TextPattern(std::move(part));
}

absl::StatusOr<std::vector<TextRange>> TextPattern::FindAll(absl::string_view text) const {
  if (const Regex* regex = std::get_if<Regex>(&pattern_)) return regex->FindAll(text);
  return FindAllOf(std::get<std::string>(pattern_), text);
}

std::vector<TextRange> FindAllOf(absl::string_view part, absl::string_view text) {
  std::vector<TextRange> places;
  for (size_t at = text.find(part); at != absl::string_view::npos;
       at = text.find(part, at + part.size())) {
    places.push_back({static_cast<int64_t>(at), static_cast<int64_t>(at + part.size())});
  }
  return places;
}

}  // namespace alchemist
