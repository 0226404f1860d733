#include "tools/bpe_trainer.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/logging.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/pre_tokenizer.h"
#include "model/tokenizer/unicode.h"
#include "tools/tokenizer_files.h"

namespace alchemist {
namespace {

using Pair = std::pair<int32_t, int32_t>;

struct Word {
  std::vector<int32_t> tokens;
  int64_t count = 0;  // how often it occurs in the texts
};

// The words of `texts` in the byte alphabet, with their counts.
absl::StatusOr<std::map<std::string, int64_t>> CountWords(absl::Span<const std::string> texts) {
  const JsonNode node(&ByteLevelJson(), "pre_tokenizer");
  ASSIGN_OR_RETURN(const PreTokenizer pre_tokenizer, PreTokenizer::Parse(node));
  std::map<std::string, int64_t> counts;
  for (const std::string& text : texts) {
    if (text.empty()) continue;
    if (FindInvalidUtf8(text) >= 0) {
      return absl::InvalidArgumentError(absl::StrCat("not UTF-8: \"", text, "\""));
    }
    if (absl::StrContains(text, kEndOfText)) {
      return absl::InvalidArgumentError(absl::StrCat(kEndOfText, " stands in \"", text, "\""));
    }
    ASSIGN_OR_RETURN(const std::vector<TextPiece> pieces, pre_tokenizer.Split({text}));
    for (const TextPiece& piece : pieces) ++counts[piece.text];
  }
  return counts;
}

// Grows a vocabulary from its bytes.
class BpeTrainer {
 public:
  explicit BpeTrainer(const std::map<std::string, int64_t>& counts) {
    AddToken(std::string(kEndOfText));
    AddAlphabet();
    for (const auto& [text, count] : counts) words_.push_back({Characters(text), count});
  }

  // Makes one token more, or none when no pair occurs twice.
  bool MergeOnce() {
    const std::optional<Pair> pair = MostFrequentPair();
    if (!pair) return false;
    const std::string left = vocabulary_.tokens[pair->first];
    const std::string right = vocabulary_.tokens[pair->second];
    vocabulary_.merges.push_back({left, right});
    const int32_t merged = AddToken(left + right);
    for (Word& word : words_) Merge(*pair, merged, &word.tokens);
    return true;
  }

  const BpeVocabulary& vocabulary() const { return vocabulary_; }

 private:
  // It is new: between the same two borders the same characters are always merged the same way.
  int32_t AddToken(std::string token) {
    const auto id = static_cast<int32_t>(vocabulary_.tokens.size());
    CHECK(ids_.try_emplace(token, id).second) << token;
    vocabulary_.tokens.push_back(std::move(token));
    return id;
  }

  // In the order of the alphabet's characters, as the Hugging Face trainer has it.
  void AddAlphabet() {
    std::vector<std::string> characters;
    for (int byte = 0; byte < 256; ++byte) {
      characters.push_back(ToByteAlphabet(std::string(1, static_cast<char>(byte))));
    }
    std::sort(characters.begin(), characters.end());
    for (std::string& character : characters) AddToken(std::move(character));
  }

  std::vector<int32_t> Characters(absl::string_view word) const {
    std::vector<int32_t> tokens;
    for (size_t begin = 0; begin < word.size(); begin += CharacterBytes(word[begin])) {
      tokens.push_back(ids_.at(word.substr(begin, CharacterBytes(word[begin]))));
    }
    return tokens;
  }

  // Counted anew each time: the distinct words of what is trained here are few.
  std::optional<Pair> MostFrequentPair() const {
    absl::flat_hash_map<Pair, int64_t> counts;
    for (const Word& word : words_) {
      for (size_t i = 0; i + 1 < word.tokens.size(); ++i) {
        counts[{word.tokens[i], word.tokens[i + 1]}] += word.count;
      }
    }
    std::optional<Pair> best;
    int64_t best_count = 1;
    for (const auto& [pair, count] : counts) {
      if (count > best_count || (count == best_count && best && pair < *best)) {
        best = pair;
        best_count = count;
      }
    }
    return best;
  }

  static void Merge(Pair pair, int32_t merged, std::vector<int32_t>* tokens) {
    size_t kept = 0;
    for (size_t i = 0; i < tokens->size(); ++i) {
      const bool matches = i + 1 < tokens->size() && Pair((*tokens)[i], (*tokens)[i + 1]) == pair;
      (*tokens)[kept++] = matches ? merged : (*tokens)[i];
      if (matches) ++i;
    }
    tokens->resize(kept);
  }

  BpeVocabulary vocabulary_;
  absl::flat_hash_map<std::string, int32_t> ids_;  // of vocabulary_.tokens
  std::vector<Word> words_;
};

}  // namespace

absl::StatusOr<BpeVocabulary> TrainBpe(absl::Span<const std::string> texts, int64_t tokens_max) {
  ASSIGN_OR_RETURN(const auto counts, CountWords(texts));
  BpeTrainer trainer(counts);
  const auto tokens = [&] { return static_cast<int64_t>(trainer.vocabulary().tokens.size()); };
  if (tokens_max < tokens()) {
    return absl::InvalidArgumentError(absl::StrCat("a vocabulary of ", tokens_max,
                                                   " tokens has no room for the ", tokens(),
                                                   " that are always there"));
  }
  while (tokens() < tokens_max && trainer.MergeOnce()) {
  }
  return trainer.vocabulary();
}

}  // namespace alchemist
