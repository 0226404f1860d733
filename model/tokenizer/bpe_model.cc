#include "model/tokenizer/bpe_model.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A list of tokens in which neighbours become one token without moving the others.
class TokenList {
 public:
  explicit TokenList(const std::vector<int32_t>& ids) : items_(ids.size()) {
    const int32_t count = static_cast<int32_t>(ids.size());
    for (int32_t i = 0; i < count; ++i) {
      items_[i] = {ids[i], i - 1, i + 1 < count ? i + 1 : kNone};
    }
  }

  static constexpr int32_t kNone = -1;

  int32_t id(int32_t at) const { return items_[at].id; }  // kNone: merged into the one before it
  int32_t previous(int32_t at) const { return items_[at].previous; }
  int32_t next(int32_t at) const { return items_[at].next; }

  // Makes `at` and the token behind it one token `id`.
  void MergeWithNext(int32_t at, int32_t id) {
    const int32_t gone = items_[at].next;
    items_[at].id = id;
    items_[at].next = items_[gone].next;
    if (items_[at].next != kNone) items_[items_[at].next].previous = at;
    items_[gone].id = kNone;
  }

 private:
  struct Item {
    int32_t id = kNone;
    int32_t previous = kNone;
    int32_t next = kNone;
  };
  std::vector<Item> items_;
};

// The two tokens that a merge names, from "left right" or ["left", "right"].
absl::StatusOr<std::pair<std::string, std::string>> ParsePair(const JsonNode& merge) {
  if (merge.value().is_array()) {
    ASSIGN_OR_RETURN(const std::vector<JsonNode> sides, merge.Array());
    if (sides.size() != 2) return merge.Invalid("must name two tokens");
    ASSIGN_OR_RETURN(std::string left, sides[0].String());
    ASSIGN_OR_RETURN(std::string right, sides[1].String());
    return std::make_pair(std::move(left), std::move(right));
  }
  ASSIGN_OR_RETURN(const std::string text, merge.String());
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    return merge.Invalid("must be two tokens with one space between them");
  }
  return std::make_pair(text.substr(0, space), text.substr(space + 1));
}

JsonNode Entry(const JsonNode& vocabulary, absl::string_view token, const nlohmann::json* id) {
  return JsonNode(id,
                  absl::StrCat(vocabulary.path(), "[\"", absl::Utf8SafeCHexEscape(token), "\"]"));
}

absl::Status RequireEmpty(const JsonNode& node, absl::string_view key) {
  ASSIGN_OR_RETURN(const std::string text, node.StringOr(key, ""));
  if (text.empty()) return absl::OkStatus();
  return node.Unsupported(
      absl::StrCat(key, " \"", absl::Utf8SafeCHexEscape(text), "\" is not supported"));
}

}  // namespace

absl::StatusOr<BpeModel> BpeModel::Parse(const JsonNode& node) {
  RETURN_IF_ERROR(node.AllowOnly({"type", "dropout", "unk_token", "continuing_subword_prefix",
                                  "end_of_word_suffix", "fuse_unk", "byte_fallback",
                                  "ignore_merges", "vocab", "merges"}));
  // Files of before 2020 do not say the type.
  ASSIGN_OR_RETURN(const std::string type, node.StringOr("type", "BPE"));
  if (type != "BPE") return node.Unsupported(absl::StrCat("type \"", type, "\" is not supported"));
  BpeModel model;
  RETURN_IF_ERROR(model.ParseVocabulary(node));
  RETURN_IF_ERROR(model.ParseMerges(node));
  RETURN_IF_ERROR(model.ParseOptions(node));
  return model;
}

absl::Status BpeModel::ParseVocabulary(const JsonNode& node) {
  ASSIGN_OR_RETURN(const JsonNode vocabulary, node.Get("vocab"));
  RETURN_IF_ERROR(vocabulary.ExpectObject());
  if (vocabulary.value().empty()) return vocabulary.Invalid("is empty");
  std::vector<bool> used;
  for (const auto& [token, value] : vocabulary.value().items()) {
    ASSIGN_OR_RETURN(const int64_t id, Entry(vocabulary, token, &value).Integer(0, kTokenIdMax));
    if (id >= id_limit()) {
      texts_.resize(id + 1);
      used.resize(id + 1);
    }
    if (used[id]) {
      return Entry(vocabulary, token, &value)
          .Invalid(absl::StrCat("has the id ", id, " of another token"));
    }
    used[id] = true;
    texts_[id] = token;
    ids_.emplace(token, static_cast<int32_t>(id));
  }
  return absl::OkStatus();
}

absl::Status BpeModel::ParseMerges(const JsonNode& node) {
  ASSIGN_OR_RETURN(const JsonNode list, node.Get("merges"));
  ASSIGN_OR_RETURN(const std::vector<JsonNode> merges, list.Array());
  merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    ASSIGN_OR_RETURN(const auto pair, ParsePair(merges[rank]));
    RETURN_IF_ERROR(AddMerge(merges[rank], pair.first, pair.second, static_cast<int32_t>(rank)));
  }
  return absl::OkStatus();
}

absl::Status BpeModel::AddMerge(const JsonNode& merge, absl::string_view left,
                                absl::string_view right, int32_t rank) {
  const std::string merged = absl::StrCat(left, right);
  for (const absl::string_view token : {left, right, absl::string_view(merged)}) {
    if (FindId(token)) continue;
    return merge.Invalid(absl::StrCat("names the token \"", absl::Utf8SafeCHexEscape(token),
                                      "\", which is not in the vocabulary"));
  }
  if (left.empty() || right.empty()) return merge.Invalid("names an empty token");
  // Of a pair that occurs twice the later rank counts, as in the library that writes these files.
  merges_[PairKey(*FindId(left), *FindId(right))] = {rank, *FindId(merged)};
  return absl::OkStatus();
}

absl::Status BpeModel::ParseOptions(const JsonNode& node) {
  RETURN_IF_ERROR(RequireEmpty(node, "continuing_subword_prefix"));
  RETURN_IF_ERROR(RequireEmpty(node, "end_of_word_suffix"));
  if (const auto dropout = node.Find("dropout"); dropout && dropout->value() != 0) {
    return dropout->Unsupported("is not supported: ids must not be random");
  }
  ASSIGN_OR_RETURN(fuse_unknown_, node.BoolOr("fuse_unk", false));
  ASSIGN_OR_RETURN(ignore_merges_, node.BoolOr("ignore_merges", false));
  ASSIGN_OR_RETURN(const bool byte_fallback, node.BoolOr("byte_fallback", false));
  for (int byte = 0; byte_fallback && byte < 256; ++byte) {
    bytes_[byte] = FindId(absl::StrFormat("<0x%02X>", byte));
  }
  if (const std::optional<JsonNode> unknown = node.Find("unk_token")) {
    ASSIGN_OR_RETURN(const std::string token, unknown->String());
    unknown_ = FindId(token);
    if (!unknown_) return unknown->Invalid("is not in the vocabulary");
  }
  return absl::OkStatus();
}

std::optional<int32_t> BpeModel::FindId(absl::string_view token) const {
  const auto it = ids_.find(token);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

absl::string_view BpeModel::Text(int32_t id) const {
  if (id < 0 || id >= id_limit()) return "";
  return texts_[id];
}

const BpeModel::Merge* BpeModel::FindMerge(int32_t left, int32_t right) const {
  const auto it = merges_.find(PairKey(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

absl::Status BpeModel::Encode(absl::string_view word, std::vector<int32_t>* ids) const {
  if (ignore_merges_) {
    if (const std::optional<int32_t> id = FindId(word)) {
      ids->push_back(*id);
      return absl::OkStatus();
    }
  }
  ASSIGN_OR_RETURN(std::vector<int32_t> tokens, EncodeCharacters(word));
  MergePairs(&tokens);
  ids->insert(ids->end(), tokens.begin(), tokens.end());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> BpeModel::EncodeCharacters(absl::string_view word) const {
  std::vector<int32_t> ids;
  ids.reserve(word.size());
  bool after_unknown = false;
  const int64_t size = static_cast<int64_t>(word.size());
  for (int64_t begin = 0, bytes = 0; begin < size; begin += bytes) {
    bytes = CharacterBytes(word[begin]);
    const absl::string_view character = word.substr(begin, bytes);
    const bool fused = after_unknown && fuse_unknown_;
    after_unknown = false;
    if (const std::optional<int32_t> id = FindId(character)) {
      ids.push_back(*id);
    } else if (!AppendBytes(character, &ids)) {
      if (!unknown_) {
        return absl::InvalidArgumentError(absl::StrCat("the text has the character \"", character,
                                                       "\", for which there is no token"));
      }
      if (!fused) ids.push_back(*unknown_);
      after_unknown = true;
    }
  }
  return ids;
}

bool BpeModel::AppendBytes(absl::string_view character, std::vector<int32_t>* ids) const {
  const auto has_token = [this](char byte) {
    return bytes_[static_cast<uint8_t>(byte)].has_value();
  };
  if (!std::all_of(character.begin(), character.end(), has_token)) return false;
  for (const char byte : character) ids->push_back(*bytes_[static_cast<uint8_t>(byte)]);
  return true;
}

// Candidates wait in a heap, so that a word of n characters costs O(n log n) however long it is
// (files without a pre-tokenizer make the whole text one word). A candidate whose tokens have
// changed meanwhile is recognized by its rank when it comes up.
void BpeModel::MergePairs(std::vector<int32_t>* ids) const {
  TokenList list(*ids);
  // rank << 32 | position of the left token: lowest rank first, leftmost among equals.
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<uint64_t>> candidates;
  const auto consider = [&](int32_t left) {
    if (left == TokenList::kNone || list.next(left) == TokenList::kNone) return;
    const Merge* merge = FindMerge(list.id(left), list.id(list.next(left)));
    if (merge != nullptr) candidates.push(PairKey(merge->rank, left));
  };
  for (int32_t i = 0; i < static_cast<int32_t>(ids->size()); ++i) consider(i);
  while (!candidates.empty()) {
    const int32_t rank = static_cast<int32_t>(candidates.top() >> 32);
    const int32_t left = static_cast<int32_t>(candidates.top() & 0xFFFFFFFF);
    candidates.pop();
    if (list.id(left) == TokenList::kNone || list.next(left) == TokenList::kNone) continue;
    const Merge* merge = FindMerge(list.id(left), list.id(list.next(left)));
    if (merge == nullptr || merge->rank != rank) continue;
    list.MergeWithNext(left, merge->result);
    consider(list.previous(left));
    consider(left);
  }
  std::vector<int32_t> merged;
  if (!ids->empty()) {
    for (int32_t i = 0; i != TokenList::kNone; i = list.next(i)) merged.push_back(list.id(i));
  }
  *ids = std::move(merged);
}

}  // namespace alchemist
