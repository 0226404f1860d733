// Small tokenizer.json files for tests, one in the manner of each family. The ids and texts that
// tests expect of them were made with the Python package `tokenizers` 0.21.4, by
// Tokenizer.from_str(json).encode(text, add_special_tokens=...).ids and .decode(ids).
#ifndef ALCHEMIST_MODEL_TOKENIZER_EXAMPLE_TOKENIZERS_H_
#define ALCHEMIST_MODEL_TOKENIZER_EXAMPLE_TOKENIZERS_H_

namespace alchemist {

// As Llama 2 and Mistral: no pre-tokenizer, spaces written U+2581 by the normalizer, characters
// without a token as bytes, merges as strings.
inline constexpr char kLlama2Style[] = R"json({
  "version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [
    {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": true},
    {"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": true},
    {"id": 2, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": true}],
  "normalizer": {"type": "Sequence", "normalizers": [
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
  "pre_tokenizer": null,
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
               {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
  "decoder": {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
  "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
    "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
    "byte_fallback": true, "ignore_merges": false,
    "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "<0x0A>": 3, "<0xC3>": 4, "<0xA9>": 5, "<0xF0>": 6,
      "<0x9F>": 7, "<0xA6>": 8, "<0x99>": 9, "▁": 10, "h": 11, "e": 12, "l": 13, "o": 14, "w": 15,
      "r": 16, "d": 17, "▁h": 18, "el": 19, "lo": 20, "▁hel": 21, "▁hello": 22, "▁w": 23,
      "or": 24, "ld": 25, "▁wor": 26, "▁world": 27, "▁▁": 28},
    "merges": ["▁ h", "e l", "l o", "▁h el", "▁hel lo", "▁ w", "o r", "l d", "▁w or", "▁wor ld",
      "▁ ▁"]}})json";

// Metaspace as pre-tokenizer and decoder, unknown characters fused, merges as pairs.
inline constexpr char kMetaspaceStyle[] = R"json({
  "version": "1.0",
  "added_tokens": [
    {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": true},
    {"id": 12, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": true}],
  "normalizer": null,
  "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
    "split": true},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "<end>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<end>": {"id": "<end>", "ids": [12], "tokens": ["<end>"]}}},
  "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
  "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
    "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
    "byte_fallback": false, "ignore_merges": false,
    "vocab": {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "c": 4, "ab": 5, "bc": 6, "▁a": 7, "▁ab": 8,
      "abc": 9, "▁abc": 10, "▁b": 11},
    "merges": [["b", "c"], ["a", "b"], ["▁", "a"], ["▁a", "bc"], ["▁", "b"], ["a", "bc"],
      ["▁", "ab"]]}})json";

// As Llama 3 and Qwen: NFC, a Split by regular expression, then the byte alphabet; a word that is a
// token needs no merges. The tokens are bytes of a few characters and some words.
inline constexpr char kLlama3Style[] =
    R"json({
  "version": "1.0",
  "added_tokens": [
    {"id": 34, "content": "<|begin|>", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": true},
    {"id": 35, "content": "<|tool|>", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": false}],
  "normalizer": {"type": "NFC"},
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex":
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|)json"
    R"json( ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
  "post_processor": {"type": "Sequence", "processors": [
    {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
    {"type": "TemplateProcessing",
     "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}}],
     "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
     "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": [34], "tokens": ["<|begin|>"]}}}]},
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
    "use_regex": true},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
    "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
    "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "s": 4, "1": 5, "2": 6, "3": 7, "4": 8, "'": 9,
      "!": 10, "Ġ": 11, "Ċ": 12, "č": 13, "Ã": 14, "©": 15, "ð": 16, "Ł": 17, "¦": 18, "Ļ": 19,
      "ab": 20, "Ġa": 21, "Ġab": 22, "cd": 23, "'s": 24, "ĠĠ": 25, "12": 26, "123": 27, "Ã©": 28,
      "abcd": 29, "ðŁ": 30, "!!": 31, "ĊĊ": 32, "bc": 33},
    "merges": [["a", "b"], ["Ġ", "a"], ["b", "c"], ["Ġ", "ab"], ["c", "d"], ["'", "s"],
      ["Ġ", "Ġ"], ["1", "2"], ["12", "3"], ["Ã", "©"], ["ð", "Ł"], ["!", "!"], ["Ċ", "Ċ"]]}})json";

// Every option of added tokens, under a normalizer that changes them (NFKC makes "ﬁ" "fi").
inline constexpr char kAddedTokens[] = R"json({
  "version": "1.0",
  "added_tokens": [
    {"id": 12, "content": "<l>", "single_word": false, "lstrip": true, "rstrip": false,
     "normalized": false, "special": true},
    {"id": 13, "content": "<r>", "single_word": false, "lstrip": false, "rstrip": true,
     "normalized": false, "special": true},
    {"id": 14, "content": "<w>", "single_word": true, "lstrip": false, "rstrip": false,
     "normalized": false, "special": false},
    {"id": 15, "content": "ﬁx", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": true, "special": false},
    {"id": 16, "content": "<l>f", "single_word": false, "lstrip": false, "rstrip": false,
     "normalized": false, "special": false},
    {"id": 3, "content": "x", "single_word": true, "lstrip": false, "rstrip": false,
     "normalized": true, "special": false}],
  "normalizer": {"type": "NFKC"},
  "pre_tokenizer": {"type": "Digits", "individual_digits": true},
  "post_processor": null,
  "decoder": null,
  "model": {"type": "BPE", "dropout": null, "unk_token": "?", "continuing_subword_prefix": "",
    "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false,
    "vocab": {"?": 0, "f": 1, "i": 2, "x": 3, " ": 4, "fi": 5, "1": 6, "11": 7, "<": 8, ">": 9,
      "w": 10, "  ": 11},
    "merges": [["f", "i"], ["1", "1"], [" ", " "]]}})json";

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_EXAMPLE_TOKENIZERS_H_
