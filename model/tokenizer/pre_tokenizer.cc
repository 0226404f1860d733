#include "model/tokenizer/pre_tokenizer.h"

#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/metaspace.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/split_behavior.h"
#include "model/tokenizer/text_pattern.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

using Steps = std::vector<std::unique_ptr<const PreTokenizer::Step>>;

// How GPT-2 cuts text into words, which ByteLevel does unless use_regex is false.
constexpr absl::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Appends the parts of `piece` that `ranges` name. The first keeps the origin if it begins there.
void AppendParts(const TextPiece& piece, const std::vector<TextRange>& ranges,
                 std::vector<TextPiece>* pieces) {
  for (const TextRange& range : ranges) {
    pieces->push_back({std::string(range.Of(piece.text)),
                       range.begin == 0 ? piece.origin : PieceOrigin::kInside});
  }
}

class SplitStep : public PreTokenizer::Step {
 public:
  SplitStep(TextPattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  absl::Status Apply(TextPiece piece, std::vector<TextPiece>* pieces) const override {
    ASSIGN_OR_RETURN(const std::vector<TextRange> matches, pattern_.FindAll(piece.text));
    AppendParts(piece, SplitAt(matches, piece.text.size(), behavior_, invert_), pieces);
    return absl::OkStatus();
  }

 private:
  const TextPattern pattern_;
  const SplitBehavior behavior_;
  const bool invert_;
};

class ByteLevelStep : public PreTokenizer::Step {
 public:
  ByteLevelStep(std::optional<Regex> pattern, bool add_prefix_space)
      : pattern_(std::move(pattern)), add_prefix_space_(add_prefix_space) {}

  absl::Status Apply(TextPiece piece, std::vector<TextPiece>* pieces) const override {
    if (add_prefix_space_ && piece.origin != PieceOrigin::kContinuation &&
        !absl::StartsWith(piece.text, " ")) {
      piece.text = absl::StrCat(" ", piece.text);
    }
    const size_t first = pieces->size();
    if (pattern_) {
      ASSIGN_OR_RETURN(const std::vector<TextRange> matches, pattern_->FindAll(piece.text));
      AppendParts(piece,
                  SplitAt(matches, piece.text.size(), SplitBehavior::kIsolated, /*invert=*/false),
                  pieces);
    } else {
      pieces->push_back(std::move(piece));
    }
    for (size_t i = first; i < pieces->size(); ++i) {
      (*pieces)[i].text = ToByteAlphabet((*pieces)[i].text);
    }
    return absl::OkStatus();
  }

 private:
  const std::optional<Regex> pattern_;
  const bool add_prefix_space_;
};

class MetaspaceStep : public PreTokenizer::Step {
 public:
  explicit MetaspaceStep(Metaspace metaspace) : metaspace_(std::move(metaspace)) {}

  absl::Status Apply(TextPiece piece, std::vector<TextPiece>* pieces) const override {
    piece.text = absl::StrReplaceAll(piece.text, {{" ", metaspace_.replacement}});
    if (PrependsTo(piece.origin) && !absl::StartsWith(piece.text, metaspace_.replacement)) {
      piece.text = absl::StrCat(metaspace_.replacement, piece.text);
    }
    if (!metaspace_.split) {
      pieces->push_back(std::move(piece));
      return absl::OkStatus();
    }
    const std::vector<TextRange> spaces = FindAllOf(metaspace_.replacement, piece.text);
    AppendParts(piece,
                SplitAt(spaces, piece.text.size(), SplitBehavior::kMergedWithNext,
                        /*invert=*/false),
                pieces);
    return absl::OkStatus();
  }

 private:
  bool PrependsTo(PieceOrigin origin) const {
    switch (metaspace_.prepend) {
      case Metaspace::Prepend::kAlways:
        return origin != PieceOrigin::kContinuation;
      case Metaspace::Prepend::kFirst:
        return origin == PieceOrigin::kTextBegin;
      case Metaspace::Prepend::kNever:
        return false;
    }
    return false;
  }

  const Metaspace metaspace_;
};

class DigitsStep : public PreTokenizer::Step {
 public:
  explicit DigitsStep(bool individual_digits)
      : behavior_(individual_digits ? SplitBehavior::kIsolated : SplitBehavior::kContiguous) {}

  absl::Status Apply(TextPiece piece, std::vector<TextPiece>* pieces) const override {
    const int64_t size = static_cast<int64_t>(piece.text.size());
    std::vector<TextRange> digits;
    for (int64_t position = 0; position < size;) {
      const int64_t begin = position;
      if (IsNumber(NextCharacter(piece.text, &position))) digits.push_back({begin, position});
    }
    AppendParts(piece, SplitAt(digits, size, behavior_, /*invert=*/false), pieces);
    return absl::OkStatus();
  }

 private:
  const SplitBehavior behavior_;
};

absl::Status ParseSplit(const JsonNode& node, Steps* steps) {
  RETURN_IF_ERROR(node.AllowOnly({"type", "pattern", "behavior", "invert"}));
  ASSIGN_OR_RETURN(const JsonNode pattern_node, node.Get("pattern"));
  ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Parse(pattern_node));
  ASSIGN_OR_RETURN(const JsonNode behavior_node, node.Get("behavior"));
  ASSIGN_OR_RETURN(const SplitBehavior behavior, ParseSplitBehavior(behavior_node));
  ASSIGN_OR_RETURN(const bool invert, node.BoolOr("invert", false));
  steps->push_back(std::make_unique<SplitStep>(std::move(pattern), behavior, invert));
  return absl::OkStatus();
}

absl::Status ParseByteLevel(const JsonNode& node, Steps* steps) {
  // trim_offsets moves the offsets of tokens, which are not computed here.
  RETURN_IF_ERROR(node.AllowOnly({"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  ASSIGN_OR_RETURN(const bool add_prefix_space, node.BoolOr("add_prefix_space", true));
  ASSIGN_OR_RETURN(const bool use_regex, node.BoolOr("use_regex", true));
  std::optional<Regex> pattern;
  if (use_regex) {
    ASSIGN_OR_RETURN(pattern, Regex::Compile(kGpt2Pattern, node.path()));
  }
  steps->push_back(std::make_unique<ByteLevelStep>(std::move(pattern), add_prefix_space));
  return absl::OkStatus();
}

absl::Status ParseMetaspace(const JsonNode& node, Steps* steps) {
  ASSIGN_OR_RETURN(Metaspace metaspace, Metaspace::Parse(node));
  steps->push_back(std::make_unique<MetaspaceStep>(std::move(metaspace)));
  return absl::OkStatus();
}

absl::Status ParseDigits(const JsonNode& node, Steps* steps) {
  RETURN_IF_ERROR(node.AllowOnly({"type", "individual_digits"}));
  ASSIGN_OR_RETURN(const bool individual_digits, node.BoolOr("individual_digits", false));
  steps->push_back(std::make_unique<DigitsStep>(individual_digits));
  return absl::OkStatus();
}

// Appends the steps of `node`. The recursion is as deep as the JSON, which ParseJson bounds.
absl::Status ParseSteps(const JsonNode& node, Steps* steps) {
  ASSIGN_OR_RETURN(const JsonNode type_node, node.Get("type"));
  ASSIGN_OR_RETURN(const std::string type, type_node.String());
  if (type == "Split") return ParseSplit(node, steps);
  if (type == "ByteLevel") return ParseByteLevel(node, steps);
  if (type == "Metaspace") return ParseMetaspace(node, steps);
  if (type == "Digits") return ParseDigits(node, steps);
  if (type != "Sequence") {
    return type_node.Unsupported(absl::StrCat("\"", type, "\" is not supported"));
  }
  RETURN_IF_ERROR(node.AllowOnly({"type", "pretokenizers"}));
  ASSIGN_OR_RETURN(const JsonNode list, node.Get("pretokenizers"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> parts, list.Array());
  for (const JsonNode& part : parts) RETURN_IF_ERROR(ParseSteps(part, steps));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PreTokenizer> PreTokenizer::Parse(const std::optional<JsonNode>& node) {
  Steps steps;
  if (node) RETURN_IF_ERROR(ParseSteps(*node, &steps));
  return PreTokenizer(std::move(steps));
}

absl::StatusOr<std::vector<TextPiece>> PreTokenizer::Split(TextPiece piece) const {
  std::vector<TextPiece> pieces;
  pieces.push_back(std::move(piece));
  for (const std::unique_ptr<const Step>& step : steps_) {
    std::vector<TextPiece> parts;
    for (TextPiece& whole : pieces) RETURN_IF_ERROR(step->Apply(std::move(whole), &parts));
    pieces = std::move(parts);
  }
  return pieces;
}

}  // namespace alchemist
