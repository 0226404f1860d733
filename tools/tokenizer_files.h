// The files by which a Hugging Face directory describes a byte-level BPE tokenizer. Pure functions;
// any thread.
#ifndef ALCHEMIST_TOOLS_TOKENIZER_FILES_H_
#define ALCHEMIST_TOOLS_TOKENIZER_FILES_H_

#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"
#include "tools/bpe_vocabulary.h"

namespace alchemist {

// The ByteLevel step of tokenizer.json: GPT-2's pattern cuts words, no space is put before a text.
// The trainer cuts its words by it too, so that what is trained is what is written.
const nlohmann::json& ByteLevelJson();

// Writes tokenizer.json, and the files that name the end of text: tokenizer_config.json,
// special_tokens_map.json and generation_config.json.
absl::Status WriteTokenizer(const BpeVocabulary& vocabulary, const std::string& directory);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_TOKENIZER_FILES_H_
