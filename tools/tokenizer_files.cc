#include "tools/tokenizer_files.h"

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace alchemist {
namespace {

nlohmann::ordered_json EndOfTextJson() {
  return {{"id", kEndOfTextId},   {"content", std::string(kEndOfText)},
          {"single_word", false}, {"lstrip", false},
          {"rstrip", false},      {"normalized", false},
          {"special", true}};
}

// Ordered, so that the vocabulary reads by id.
nlohmann::ordered_json TokenizerJson(const BpeVocabulary& vocabulary) {
  auto ids = nlohmann::ordered_json::object();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) ids[vocabulary.tokens[id]] = id;
  auto merges = nlohmann::ordered_json::array();
  for (const auto& [left, right] : vocabulary.merges) merges.push_back(left + " " + right);
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", nlohmann::ordered_json::array({EndOfTextJson()})},
      {"normalizer", nullptr},
      {"pre_tokenizer", ByteLevelJson()},
      {"post_processor", nullptr},
      {"decoder", ByteLevelJson()},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", std::move(ids)},
        {"merges", std::move(merges)}}},
  };
}

}  // namespace

const nlohmann::json& ByteLevelJson() {
  static const auto* json = new nlohmann::json{{"type", "ByteLevel"},
                                               {"add_prefix_space", false},
                                               {"trim_offsets", true},
                                               {"use_regex", true}};
  return *json;
}

absl::Status WriteTokenizer(const BpeVocabulary& vocabulary, const std::string& directory) {
  const std::string end_of_text(kEndOfText);
  const nlohmann::ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                         {"eos_token", end_of_text},
                                         {"clean_up_tokenization_spaces", false}};
  const nlohmann::ordered_json special = {{"eos_token", end_of_text}};
  const nlohmann::ordered_json generation = {{"eos_token_id", kEndOfTextId}};
  const auto write = [&](absl::string_view file, const nlohmann::ordered_json& json) {
    return ReplaceFile(absl::StrCat(directory, "/", file), json.dump(1, ' ') + "\n");
  };
  RETURN_IF_ERROR(write("tokenizer.json", TokenizerJson(vocabulary)));
  RETURN_IF_ERROR(write("tokenizer_config.json", config));
  RETURN_IF_ERROR(write("special_tokens_map.json", special));
  return write("generation_config.json", generation);
}

}  // namespace alchemist
