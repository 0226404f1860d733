#include "model/tokenizer/added_vocabulary.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

absl::StatusOr<AddedToken> ParseToken(const JsonNode& node) {
  RETURN_IF_ERROR(node.AllowOnly(
      {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
  AddedToken token;
  ASSIGN_OR_RETURN(const JsonNode id, node.Get("id"));
  ASSIGN_OR_RETURN(const int64_t id_value, id.Integer(0, kTokenIdMax));
  token.id = static_cast<int32_t>(id_value);
  ASSIGN_OR_RETURN(const JsonNode content, node.Get("content"));
  ASSIGN_OR_RETURN(token.content, content.String());
  if (token.content.empty()) return content.Invalid("is empty");
  ASSIGN_OR_RETURN(token.single_word, node.BoolOr("single_word", false));
  ASSIGN_OR_RETURN(token.lstrip, node.BoolOr("lstrip", false));
  ASSIGN_OR_RETURN(token.rstrip, node.BoolOr("rstrip", false));
  ASSIGN_OR_RETURN(token.special, node.BoolOr("special", false));
  ASSIGN_OR_RETURN(token.normalized, node.BoolOr("normalized", !token.special));
  return token;
}

// Whether no word character touches [begin, end) of `text`.
bool IsSingleWord(absl::string_view text, int64_t begin, int64_t end) {
  if (begin > 0 && IsWordCharacter(PreviousCharacter(text, &begin))) return false;
  return end == static_cast<int64_t>(text.size()) || !IsWordCharacter(NextCharacter(text, &end));
}

// Where the white space begins that ends at `end`, but not before `from`.
int64_t WhiteSpaceBefore(absl::string_view text, int64_t from, int64_t end) {
  int64_t begin = end;
  while (end > from && IsWhiteSpace(PreviousCharacter(text, &end))) begin = end;
  return begin;
}

// Where the white space ends that begins at `begin`.
int64_t WhiteSpaceBehind(absl::string_view text, int64_t begin) {
  int64_t end = begin;
  while (begin < static_cast<int64_t>(text.size()) && IsWhiteSpace(NextCharacter(text, &begin))) {
    end = begin;
  }
  return end;
}

}  // namespace

absl::StatusOr<AddedVocabulary> AddedVocabulary::Parse(const std::optional<JsonNode>& node,
                                                       const BpeModel& model,
                                                       const Normalizer& normalizer) {
  AddedVocabulary vocabulary;
  if (!node) return vocabulary;
  ASSIGN_OR_RETURN(const std::vector<JsonNode> entries, node->Array());
  for (const JsonNode& entry : entries) {
    RETURN_IF_ERROR(vocabulary.Add(entry, model, normalizer));
  }
  return vocabulary;
}

absl::Status AddedVocabulary::Add(const JsonNode& node, const BpeModel& model,
                                  const Normalizer& normalizer) {
  ASSIGN_OR_RETURN(AddedToken token, ParseToken(node));
  const std::optional<int32_t> model_id = model.FindId(token.content);
  if (model_id && *model_id != token.id) {
    return node.Invalid(
        absl::StrCat("has the id ", token.id, ", but model.vocab says ", *model_id));
  }
  if (!model_id && !model.Text(token.id).empty()) {
    return node.Invalid(absl::StrCat("has the id ", token.id, " of another token"));
  }
  TokenTrie* trie = &raw_;
  std::string pattern = token.content;
  if (token.normalized) {
    trie = &normalized_;
    ASSIGN_OR_RETURN(pattern, normalizer.Apply(token.content, PieceOrigin::kTextBegin));
    if (pattern.empty()) return node.Invalid("is empty when it is normalized");
  }
  trie->Add(pattern, token.id);
  id_limit_ = std::max<int64_t>(id_limit_, token.id + 1);
  const int32_t id = token.id;
  if (!tokens_.try_emplace(id, std::move(token)).second) {
    return node.Invalid(absl::StrCat("has the id ", id, " of another added token"));
  }
  return absl::OkStatus();
}

const AddedToken* AddedVocabulary::Find(int32_t id) const {
  const auto it = tokens_.find(id);
  return it == tokens_.end() ? nullptr : &it->second;
}

std::vector<AddedVocabulary::Segment> AddedVocabulary::Split(const TokenTrie& trie,
                                                             absl::string_view text) const {
  std::vector<Segment> segments;
  int64_t done = 0;  // The text before it is in segments.
  std::optional<TokenTrie::Match> match = trie.FindNext(text, 0);
  for (; match; match = trie.FindNext(text, match->end)) {
    const AddedToken& token = tokens_.at(match->value);
    if (token.single_word && !IsSingleWord(text, match->begin, match->end)) continue;
    // White space that the token before has taken along is not taken again.
    int64_t begin = match->begin;
    if (token.lstrip) begin = WhiteSpaceBefore(text, std::min(done, begin), begin);
    const int64_t end = token.rstrip ? WhiteSpaceBehind(text, match->end) : match->end;
    if (done < begin) segments.push_back({{done, begin}, std::nullopt});
    segments.push_back({{begin, end}, token.id});
    done = std::max(done, end);
  }
  const int64_t size = static_cast<int64_t>(text.size());
  if (done < size) segments.push_back({{done, size}, std::nullopt});
  return segments;
}

}  // namespace alchemist
