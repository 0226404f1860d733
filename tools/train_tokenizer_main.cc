// Trains the tokenizer of the quickstart's model on its pretraining corpus.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/logging.h"
#include "tools/bpe_trainer.h"
#include "tools/tokenizer_files.h"
#include "tools/world/corpus.h"

ABSL_FLAG(std::string, corpus, "", "the samples to train on, as make_corpus writes them");
ABSL_FLAG(int64_t, tokens, alchemist::kCorpusTokens, "the vocabulary's size, at most");
ABSL_FLAG(std::string, out, "", "the directory to write to; it must exist");

namespace alchemist {
namespace {

constexpr int64_t kCorpusBytesMax = int64_t{1} << 30;

absl::Status TrainTokenizer() {
  const std::string corpus = absl::GetFlag(FLAGS_corpus);
  const std::string out = absl::GetFlag(FLAGS_out);
  if (corpus.empty()) return absl::InvalidArgumentError("--corpus is missing");
  if (out.empty()) return absl::InvalidArgumentError("--out is missing");
  ASSIGN_OR_RETURN(const std::string content, ReadFile(corpus, kCorpusBytesMax));
  ASSIGN_OR_RETURN(const std::vector<Sample> samples, ParseSamples(content, corpus));
  ASSIGN_OR_RETURN(const BpeVocabulary vocabulary,
                   TrainBpe(TextsOf(samples), absl::GetFlag(FLAGS_tokens)));
  return WriteTokenizer(vocabulary, out);
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) {
  alchemist::ParseFlags(argc, argv, "trains a byte-level BPE tokenizer on a corpus");
  const absl::Status status = alchemist::TrainTokenizer();
  if (!status.ok()) LOG(ERROR) << status;
  return status.ok() ? 0 : 1;
}
