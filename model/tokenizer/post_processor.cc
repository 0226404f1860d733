#include "model/tokenizer/post_processor.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/bpe_model.h"

namespace alchemist {
namespace {

using IsToken = std::function<bool(int32_t)>;

// The ids of the special token that `piece` of a template names.
absl::StatusOr<std::vector<int32_t>> ParseSpecialToken(const JsonNode& piece,
                                                       const JsonNode& special_tokens,
                                                       const IsToken& is_token) {
  ASSIGN_OR_RETURN(const JsonNode name_node, piece.Get("id"));
  ASSIGN_OR_RETURN(const std::string name, name_node.String());
  ASSIGN_OR_RETURN(const JsonNode token, special_tokens.Get(name));
  ASSIGN_OR_RETURN(const JsonNode list, token.Get("ids"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> entries, list.Array());
  std::vector<int32_t> ids;
  for (const JsonNode& entry : entries) {
    ASSIGN_OR_RETURN(const int64_t id, entry.Integer(0, kTokenIdMax));
    if (!is_token(static_cast<int32_t>(id))) return entry.Invalid("is the id of no token");
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

}  // namespace

absl::StatusOr<PostProcessor> PostProcessor::Parse(const std::optional<JsonNode>& node,
                                                   const IsToken& is_token) {
  PostProcessor processor;
  if (node) RETURN_IF_ERROR(processor.Add(*node, is_token));
  return processor;
}

// The recursion is as deep as the JSON, which ParseJson bounds.
absl::Status PostProcessor::Add(const JsonNode& node, const IsToken& is_token) {
  ASSIGN_OR_RETURN(const JsonNode type_node, node.Get("type"));
  ASSIGN_OR_RETURN(const std::string type, type_node.String());
  if (type == "TemplateProcessing") return AddTemplate(node, is_token);
  if (type == "ByteLevel") {
    // It moves the offsets of tokens, which are not computed here.
    return node.AllowOnly({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  }
  if (type != "Sequence") {
    return type_node.Unsupported(absl::StrCat("\"", type, "\" is not supported"));
  }
  RETURN_IF_ERROR(node.AllowOnly({"type", "processors"}));
  ASSIGN_OR_RETURN(const JsonNode list, node.Get("processors"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> parts, list.Array());
  for (const JsonNode& part : parts) RETURN_IF_ERROR(Add(part, is_token));
  return absl::OkStatus();
}

// `pair` is for two texts at once, which nobody here has.
absl::Status PostProcessor::AddTemplate(const JsonNode& node, const IsToken& is_token) {
  RETURN_IF_ERROR(node.AllowOnly({"type", "single", "pair", "special_tokens"}));
  ASSIGN_OR_RETURN(const JsonNode special_tokens, node.Get("special_tokens"));
  ASSIGN_OR_RETURN(const JsonNode single, node.Get("single"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> pieces, single.Array());
  std::vector<int32_t> before;
  std::vector<int32_t> behind;
  int sequences = 0;
  for (const JsonNode& piece : pieces) {
    RETURN_IF_ERROR(piece.AllowOnly({"Sequence", "SpecialToken"}));
    if (const std::optional<JsonNode> special = piece.Find("SpecialToken")) {
      ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                       ParseSpecialToken(*special, special_tokens, is_token));
      std::vector<int32_t>* side = sequences == 0 ? &before : &behind;
      side->insert(side->end(), ids.begin(), ids.end());
      continue;
    }
    ASSIGN_OR_RETURN(const JsonNode sequence, piece.Get("Sequence"));
    ASSIGN_OR_RETURN(const JsonNode name_node, sequence.Get("id"));
    ASSIGN_OR_RETURN(const std::string name, name_node.String());
    if (name != "A") return name_node.Invalid("must be \"A\" in a template for one text");
    ++sequences;
  }
  if (sequences != 1) return single.Invalid("must have one Sequence");
  // A template of a Sequence stands around what the ones before it have made.
  prefix_.insert(prefix_.begin(), before.begin(), before.end());
  suffix_.insert(suffix_.end(), behind.begin(), behind.end());
  return absl::OkStatus();
}

}  // namespace alchemist
