#include "model/tokenizer/decoder.h"

#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/metaspace.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

absl::StatusOr<TokenDecoder::Substitution> ParseReplace(const JsonNode& node) {
  RETURN_IF_ERROR(node.AllowOnly({"type", "pattern", "content"}));
  ASSIGN_OR_RETURN(const JsonNode pattern, node.Get("pattern"));
  RETURN_IF_ERROR(pattern.AllowOnly({"String"}));
  ASSIGN_OR_RETURN(const JsonNode string, pattern.Get("String"));
  ASSIGN_OR_RETURN(std::string from, string.String());
  if (from.empty()) return string.Unsupported("is empty, which is not supported");
  ASSIGN_OR_RETURN(const JsonNode content, node.Get("content"));
  ASSIGN_OR_RETURN(const std::string to, content.String());
  return TokenDecoder::Substitution{std::move(from), to, to};
}

// The prefix space, unless none was added, goes off the first token again.
absl::StatusOr<TokenDecoder::Substitution> ParseMetaspace(const JsonNode& node) {
  ASSIGN_OR_RETURN(Metaspace metaspace, Metaspace::Parse(node));
  const bool prepended = metaspace.prepend != Metaspace::Prepend::kNever;
  return TokenDecoder::Substitution{std::move(metaspace.replacement), prepended ? "" : " ", " "};
}

absl::StatusOr<Strip> ParseStrip(const JsonNode& node) {
  RETURN_IF_ERROR(node.AllowOnly({"type", "content", "start", "stop"}));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  Strip strip;
  ASSIGN_OR_RETURN(const JsonNode content, node.Get("content"));
  ASSIGN_OR_RETURN(strip.content, content.String());
  if (!IsOneCharacter(strip.content)) return content.Invalid("must be one character");
  ASSIGN_OR_RETURN(const JsonNode start, node.Get("start"));
  ASSIGN_OR_RETURN(strip.start, start.Integer(0, kMax));
  ASSIGN_OR_RETURN(const JsonNode stop, node.Get("stop"));
  ASSIGN_OR_RETURN(strip.stop, stop.Integer(0, kMax));
  return strip;
}

}  // namespace

absl::StatusOr<TokenDecoder> TokenDecoder::Parse(const std::optional<JsonNode>& node) {
  TokenDecoder decoder;
  if (node) {
    RETURN_IF_ERROR(decoder.Add(*node));
  } else {
    decoder.separator_ = " ";
  }
  return decoder;
}

// The recursion is as deep as the JSON, which ParseJson bounds.
absl::Status TokenDecoder::Add(const JsonNode& node) {
  ASSIGN_OR_RETURN(const JsonNode type_node, node.Get("type"));
  ASSIGN_OR_RETURN(const std::string type, type_node.String());
  if (type == "Replace") {
    ASSIGN_OR_RETURN(Substitution substitution, ParseReplace(node));
    return AddTokenStep(node, std::move(substitution));
  }
  if (type == "Metaspace") {
    ASSIGN_OR_RETURN(Substitution substitution, ParseMetaspace(node));
    return AddTokenStep(node, std::move(substitution));
  }
  if (type == "Strip") return AddStrip(node);
  if (type == "ByteFallback") {
    RETURN_IF_ERROR(node.AllowOnly({"type"}));
    return AddBytes(node, Bytes::kFallback);
  }
  if (type == "ByteLevel") {
    RETURN_IF_ERROR(node.AllowOnly({"type", "add_prefix_space", "trim_offsets", "use_regex"}));
    return AddBytes(node, Bytes::kByteLevel);
  }
  if (type == "Fuse") {
    fused_ = true;
    return node.AllowOnly({"type"});
  }
  if (type != "Sequence") {
    return type_node.Unsupported(absl::StrCat("\"", type, "\" is not supported"));
  }
  RETURN_IF_ERROR(node.AllowOnly({"type", "decoders"}));
  ASSIGN_OR_RETURN(const JsonNode list, node.Get("decoders"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> parts, list.Array());
  for (const JsonNode& part : parts) RETURN_IF_ERROR(Add(part));
  return absl::OkStatus();
}

absl::Status TokenDecoder::AddTokenStep(const JsonNode& node, TokenStep step) {
  if (fused_ || bytes_ != Bytes::kNone) {
    return node.Unsupported(
        "stands behind ByteFallback, ByteLevel or Fuse, which is not supported");
  }
  token_steps_.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status TokenDecoder::AddBytes(const JsonNode& node, Bytes bytes) {
  if (fused_ || bytes_ != Bytes::kNone) {
    return node.Unsupported(
        "stands behind ByteFallback, ByteLevel or Fuse, which is not supported");
  }
  bytes_ = bytes;
  fused_ = bytes == Bytes::kByteLevel;
  return absl::OkStatus();
}

absl::Status TokenDecoder::AddStrip(const JsonNode& node) {
  ASSIGN_OR_RETURN(Strip strip, ParseStrip(node));
  if (!fused_) return AddTokenStep(node, std::move(strip));
  text_steps_.push_back(std::move(strip));
  return absl::OkStatus();
}

}  // namespace alchemist
