#include "model/tokenizer/token_trie.h"

namespace alchemist {
namespace {

uint64_t Edge(int32_t node, char byte) {
  return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(byte);
}

}  // namespace

void TokenTrie::Add(absl::string_view text, int32_t value) {
  int32_t node = 0;
  for (const char byte : text) {
    const auto [edge, added] = edges_.try_emplace(Edge(node, byte), nodes_);
    if (added) ++nodes_;
    node = edge->second;
  }
  values_.try_emplace(node, value);
}

std::optional<TokenTrie::Match> TokenTrie::FindNext(absl::string_view text, int64_t from) const {
  if (values_.empty()) return std::nullopt;
  for (int64_t begin = from; begin < static_cast<int64_t>(text.size()); ++begin) {
    if (const std::optional<Match> match = FindAt(text, begin)) return match;
  }
  return std::nullopt;
}

std::optional<TokenTrie::Match> TokenTrie::FindAt(absl::string_view text, int64_t begin) const {
  std::optional<Match> longest;
  int32_t node = 0;
  for (int64_t end = begin; end < static_cast<int64_t>(text.size());) {
    const auto edge = edges_.find(Edge(node, text[end]));
    if (edge == edges_.end()) break;
    node = edge->second;
    ++end;
    if (const auto value = values_.find(node); value != values_.end()) {
      longest = Match{begin, end, value->second};
    }
  }
  return longest;
}

}  // namespace alchemist
