#include "model/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "model/tokenizer/decoder_stream.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

absl::Status CheckText(absl::string_view text) {
  if (static_cast<int64_t>(text.size()) > kEncodeBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text has ", text.size(), " bytes, more than ", kEncodeBytesMax));
  }
  if (const int64_t at = FindInvalidUtf8(text); at >= 0) {
    return absl::InvalidArgumentError(absl::StrCat("the text is not UTF-8 at byte ", at));
  }
  return absl::OkStatus();
}

// Fields of the file as a whole. Truncation and padding would change the tokens of a text.
absl::Status CheckTopFields(const JsonNode& root) {
  RETURN_IF_ERROR(root.AllowOnly({"version", "truncation", "padding", "added_tokens", "normalizer",
                                  "pre_tokenizer", "post_processor", "decoder", "model"}));
  for (const absl::string_view key : {"truncation", "padding"}) {
    if (const auto node = root.Find(key)) return node->Unsupported("must be null");
  }
  ASSIGN_OR_RETURN(const std::string version, root.StringOr("version", "1.0"));
  if (version == "1.0") return absl::OkStatus();
  return root.Unsupported(absl::StrCat("version \"", version, "\" is not supported"));
}

}  // namespace

Tokenizer::Tokenizer(BpeModel model, Normalizer normalizer, AddedVocabulary added,
                     PreTokenizer pre_tokenizer, PostProcessor post_processor, TokenDecoder decoder,
                     std::string digest)
    : model_(std::move(model)),
      normalizer_(std::move(normalizer)),
      added_(std::move(added)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      post_processor_(std::move(post_processor)),
      decoder_(std::move(decoder)),
      digest_(std::move(digest)) {
  for (int64_t id = 0; id < vocab_size(); ++id) {
    const absl::string_view text = TokenText(static_cast<int32_t>(id), false);
    token_bytes_max_ = std::max(token_bytes_max_, static_cast<int64_t>(text.size()));
  }
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/tokenizer.json");
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path, kTokenizerFileBytesMax));
  return Parse(json, path);
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Parse(absl::string_view json,
                                                                  absl::string_view name) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(json, name));
  return Build(JsonNode(&document, absl::StrCat(name, ":")), Sha256Hex(json));
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Build(const JsonNode& root,
                                                                  std::string digest) {
  RETURN_IF_ERROR(CheckTopFields(root));
  ASSIGN_OR_RETURN(const JsonNode model_node, root.Get("model"));
  ASSIGN_OR_RETURN(BpeModel model, BpeModel::Parse(model_node));
  ASSIGN_OR_RETURN(Normalizer normalizer, Normalizer::Parse(root.Find("normalizer")));
  ASSIGN_OR_RETURN(AddedVocabulary added,
                   AddedVocabulary::Parse(root.Find("added_tokens"), model, normalizer));
  ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer, PreTokenizer::Parse(root.Find("pre_tokenizer")));
  const auto is_token = [&](int32_t id) {
    return added.Find(id) != nullptr || !model.Text(id).empty();
  };
  ASSIGN_OR_RETURN(PostProcessor post_processor,
                   PostProcessor::Parse(root.Find("post_processor"), is_token));
  ASSIGN_OR_RETURN(TokenDecoder decoder, TokenDecoder::Parse(root.Find("decoder")));
  return std::unique_ptr<const Tokenizer>(new Tokenizer(
      std::move(model), std::move(normalizer), std::move(added), std::move(pre_tokenizer),
      std::move(post_processor), std::move(decoder), std::move(digest)));
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(absl::string_view text,
                                                       bool add_special_tokens) const {
  std::vector<int32_t> ids;
  if (add_special_tokens) ids = post_processor_.prefix();
  RETURN_IF_ERROR(EncodeText(text, PieceOrigin::kTextBegin, &ids));
  if (add_special_tokens) {
    ids.insert(ids.end(), post_processor_.suffix().begin(), post_processor_.suffix().end());
  }
  return ids;
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::EncodeContinuation(absl::string_view text) const {
  std::vector<int32_t> ids;
  RETURN_IF_ERROR(EncodeText(text, PieceOrigin::kContinuation, &ids));
  return ids;
}

absl::Status Tokenizer::EncodeText(absl::string_view text, PieceOrigin origin,
                                   std::vector<int32_t>* ids) const {
  RETURN_IF_ERROR(CheckText(text));
  for (const AddedVocabulary::Segment& segment : added_.SplitRaw(text)) {
    if (segment.token) {
      ids->push_back(*segment.token);
      continue;
    }
    RETURN_IF_ERROR(EncodeSegment(segment.range.Of(text),
                                  segment.range.begin == 0 ? origin : PieceOrigin::kInside, ids));
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::EncodeSegment(absl::string_view text, PieceOrigin origin,
                                      std::vector<int32_t>* ids) const {
  ASSIGN_OR_RETURN(const std::string normalized, normalizer_.Apply(text, origin));
  for (const AddedVocabulary::Segment& segment : added_.SplitNormalized(normalized)) {
    if (segment.token) {
      ids->push_back(*segment.token);
      continue;
    }
    TextPiece piece = {std::string(segment.range.Of(normalized)),
                       segment.range.begin == 0 ? origin : PieceOrigin::kInside};
    ASSIGN_OR_RETURN(const std::vector<TextPiece> words, pre_tokenizer_.Split(std::move(piece)));
    for (const TextPiece& word : words) RETURN_IF_ERROR(model_.Encode(word.text, ids));
  }
  return absl::OkStatus();
}

std::string Tokenizer::Decode(absl::Span<const int32_t> ids, bool skip_special_tokens) const {
  DecoderStream stream(&decoder_, /*continuation=*/false);
  std::string text;
  for (const int32_t id : ids) text += stream.Push(TokenText(id, skip_special_tokens));
  return text + stream.Finish();
}

int64_t Tokenizer::vocab_size() const { return std::max(model_.id_limit(), added_.id_limit()); }

absl::string_view Tokenizer::TokenText(int32_t id, bool skip_special_tokens) const {
  const AddedToken* added = added_.Find(id);
  if (added == nullptr) return model_.Text(id);
  return added->special && skip_special_tokens ? "" : absl::string_view(added->content);
}

}  // namespace alchemist
