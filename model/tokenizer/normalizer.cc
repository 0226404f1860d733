#include "model/tokenizer/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/text_pattern.h"

namespace alchemist {
namespace {

using Steps = std::vector<std::unique_ptr<const Normalizer::Step>>;

// A text of the greatest size that Tokenizer takes grows at most 12-fold under NFKD; what passes
// this comes from a file made to exhaust memory.
constexpr size_t kNormalizedBytesMax = size_t{1} << 30;

class PrependStep : public Normalizer::Step {
 public:
  explicit PrependStep(std::string prefix) : prefix_(std::move(prefix)) {}

  absl::StatusOr<std::string> Apply(std::string text, PieceOrigin origin) const override {
    if (origin == PieceOrigin::kContinuation) return text;
    return absl::StrCat(prefix_, text);
  }

 private:
  const std::string prefix_;
};

class ReplaceStep : public Normalizer::Step {
 public:
  ReplaceStep(TextPattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  absl::StatusOr<std::string> Apply(std::string text, PieceOrigin) const override {
    ASSIGN_OR_RETURN(const std::vector<TextRange> matches, pattern_.FindAll(text));
    if (text.size() + matches.size() * content_.size() > kNormalizedBytesMax) {
      return absl::ResourceExhaustedError("the normalizer's Replace makes the text too long");
    }
    std::string replaced;
    replaced.reserve(text.size());
    int64_t position = 0;
    for (const TextRange& match : matches) {
      replaced.append(text, position, match.begin - position);
      replaced.append(content_);
      position = match.end;
    }
    replaced.append(text, position, std::string::npos);
    return replaced;
  }

 private:
  const TextPattern pattern_;
  const std::string content_;
};

class UnicodeFormStep : public Normalizer::Step {
 public:
  explicit UnicodeFormStep(const icu::Normalizer2* form) : form_(form) {}

  absl::StatusOr<std::string> Apply(std::string text, PieceOrigin) const override {
    std::string normalized;
    icu::StringByteSink<std::string> sink(&normalized, static_cast<int32_t>(text.size()));
    UErrorCode error = U_ZERO_ERROR;
    form_->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink,
                         nullptr, error);
    if (U_FAILURE(error)) return absl::InternalError(u_errorName(error));
    return normalized;
  }

 private:
  const icu::Normalizer2* const form_;  // ICU's own; lives as long as the process.
};

// ICU's instance for the Unicode normalization form `type`, nullptr when it names none.
const icu::Normalizer2* FindUnicodeForm(absl::string_view type, UErrorCode* error) {
  if (type == "NFC") return icu::Normalizer2::getNFCInstance(*error);
  if (type == "NFD") return icu::Normalizer2::getNFDInstance(*error);
  if (type == "NFKC") return icu::Normalizer2::getNFKCInstance(*error);
  if (type == "NFKD") return icu::Normalizer2::getNFKDInstance(*error);
  return nullptr;
}

absl::Status ParsePrepend(const JsonNode& node, Steps* steps) {
  RETURN_IF_ERROR(node.AllowOnly({"type", "prepend"}));
  ASSIGN_OR_RETURN(const JsonNode prepend, node.Get("prepend"));
  ASSIGN_OR_RETURN(std::string prefix, prepend.String());
  steps->push_back(std::make_unique<PrependStep>(std::move(prefix)));
  return absl::OkStatus();
}

absl::Status ParseReplace(const JsonNode& node, Steps* steps) {
  RETURN_IF_ERROR(node.AllowOnly({"type", "pattern", "content"}));
  ASSIGN_OR_RETURN(const JsonNode pattern_node, node.Get("pattern"));
  ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Parse(pattern_node));
  ASSIGN_OR_RETURN(const JsonNode content_node, node.Get("content"));
  ASSIGN_OR_RETURN(std::string content, content_node.String());
  steps->push_back(std::make_unique<ReplaceStep>(std::move(pattern), std::move(content)));
  return absl::OkStatus();
}

// Appends the steps of `node`. The recursion is as deep as the JSON, which ParseJson bounds.
absl::Status ParseSteps(const JsonNode& node, Steps* steps) {
  ASSIGN_OR_RETURN(const JsonNode type_node, node.Get("type"));
  ASSIGN_OR_RETURN(const std::string type, type_node.String());
  if (type == "Prepend") return ParsePrepend(node, steps);
  if (type == "Replace") return ParseReplace(node, steps);
  if (type == "Sequence") {
    RETURN_IF_ERROR(node.AllowOnly({"type", "normalizers"}));
    ASSIGN_OR_RETURN(const JsonNode list, node.Get("normalizers"));
    ASSIGN_OR_RETURN(const std::vector<JsonNode> parts, list.Array());
    for (const JsonNode& part : parts) RETURN_IF_ERROR(ParseSteps(part, steps));
    return absl::OkStatus();
  }
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* form = FindUnicodeForm(type, &error);
  if (U_FAILURE(error)) return absl::InternalError(u_errorName(error));
  if (form == nullptr) {
    return type_node.Unsupported(absl::StrCat("\"", type, "\" is not supported"));
  }
  RETURN_IF_ERROR(node.AllowOnly({"type"}));
  steps->push_back(std::make_unique<UnicodeFormStep>(form));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Normalizer> Normalizer::Parse(const std::optional<JsonNode>& node) {
  Steps steps;
  if (node) RETURN_IF_ERROR(ParseSteps(*node, &steps));
  return Normalizer(std::move(steps));
}

absl::StatusOr<std::string> Normalizer::Apply(absl::string_view text, PieceOrigin origin) const {
  std::string normalized(text);
  for (const std::unique_ptr<const Step>& step : steps_) {
    ASSIGN_OR_RETURN(normalized, step->Apply(std::move(normalized), origin));
    if (normalized.size() > kNormalizedBytesMax) {
      return absl::ResourceExhaustedError("the normalizer makes the text too long");
    }
  }
  return normalized;
}

}  // namespace alchemist
