#include "model/tokenizer/metaspace.h"

#include <utility>

#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

absl::StatusOr<Metaspace::Prepend> ParsePrepend(const JsonNode& node) {
  ASSIGN_OR_RETURN(const bool add_prefix_space, node.BoolOr("add_prefix_space", true));
  const std::optional<JsonNode> scheme = node.Find("prepend_scheme");
  if (!scheme) return add_prefix_space ? Metaspace::Prepend::kAlways : Metaspace::Prepend::kNever;
  ASSIGN_OR_RETURN(const std::string name, scheme->String());
  if (name == "never") return Metaspace::Prepend::kNever;
  if (!add_prefix_space) return scheme->Invalid("contradicts add_prefix_space");
  if (name == "always") return Metaspace::Prepend::kAlways;
  if (name == "first") return Metaspace::Prepend::kFirst;
  return scheme->Unsupported("is no prepend scheme");
}

}  // namespace

absl::StatusOr<Metaspace> Metaspace::Parse(const JsonNode& node) {
  RETURN_IF_ERROR(node.AllowOnly(
      {"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"}));
  Metaspace metaspace;
  ASSIGN_OR_RETURN(const JsonNode replacement, node.Get("replacement"));
  ASSIGN_OR_RETURN(metaspace.replacement, replacement.String());
  if (!IsOneCharacter(metaspace.replacement)) return replacement.Invalid("must be one character");
  ASSIGN_OR_RETURN(metaspace.prepend, ParsePrepend(node));
  ASSIGN_OR_RETURN(metaspace.split, node.BoolOr("split", true));
  return metaspace;
}

}  // namespace alchemist
