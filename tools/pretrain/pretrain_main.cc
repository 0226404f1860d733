// Trains a Llama from random weights on a corpus (tools/world/corpus.h has the format) and writes
// it beside the tokenizer it was trained with. By default the quickstart's model: 918,656
// parameters, a few minutes on two cores.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/logging.h"
#include "base/status.h"
#include "kernels/cpu_device.h"
#include "kernels/stream.h"
#include "kernels/worker_pool.h"
#include "model/config.h"
#include "model/model_writer.h"
#include "model/tokenizer.h"
#include "tools/bpe_vocabulary.h"
#include "tools/pretrain/pretrainer.h"
#include "tools/pretrain/token_sequence.h"
#include "tools/world/corpus.h"

ABSL_FLAG(std::string, corpus, "", "the samples to train on, as make_corpus writes them");
ABSL_FLAG(
    std::string, out, "",
    "the directory to write to; it has the tokenizer's files, as train_tokenizer writes them");
ABSL_FLAG(int64_t, layers, 4, "num_hidden_layers");
ABSL_FLAG(int64_t, hidden, 128, "hidden_size");
ABSL_FLAG(int64_t, ffn, 384, "intermediate_size");
ABSL_FLAG(int64_t, heads, 4, "num_attention_heads; must divide the hidden size");
ABSL_FLAG(int64_t, kv_heads, 2, "num_key_value_heads");
ABSL_FLAG(int64_t, context, 512, "max_position_embeddings");
ABSL_FLAG(int64_t, epochs, 20, "passes over the corpus");
ABSL_FLAG(int64_t, batch, 128, "samples of a step");
ABSL_FLAG(double, learning_rate, 3e-3, "AdamW's, after the warm-up; falls to 0 along a cosine");
ABSL_FLAG(double, weight_decay, 0.1, "AdamW's");
ABSL_FLAG(uint64_t, seed, 1, "of the first weights and of the samples' order");
ABSL_FLAG(int, threads, 0, "compute threads; 0: one per core");

namespace alchemist {
namespace {

constexpr int64_t kCorpusBytesMax = int64_t{1} << 30;
constexpr int64_t kReportUs = 5'000'000;

absl::StatusOr<ModelConfig> ConfigOfFlags(int64_t vocab) {
  ModelConfig config;
  config.layers = absl::GetFlag(FLAGS_layers);
  config.hidden = absl::GetFlag(FLAGS_hidden);
  config.ffn = absl::GetFlag(FLAGS_ffn);
  config.heads = absl::GetFlag(FLAGS_heads);
  config.kv_heads = absl::GetFlag(FLAGS_kv_heads);
  if (config.heads < 1 || config.hidden % config.heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--heads=", config.heads, ": does not divide --hidden=", config.hidden));
  }
  config.head_dim = config.hidden / config.heads;
  config.vocab = vocab;
  config.context = absl::GetFlag(FLAGS_context);
  config.norm_epsilon = 1e-5f;
  config.tied_head = true;
  config.eos_ids = {kEndOfTextId};
  // What could not be loaded again is not trained either.
  return ParseModelConfig(ModelConfigJson(config, DType::kBf16), "the model's flags");
}

absl::StatusOr<PretrainOptions> OptionsOfFlags() {
  PretrainOptions options;
  options.epochs = absl::GetFlag(FLAGS_epochs);
  options.batch_sequences = absl::GetFlag(FLAGS_batch);
  options.learning_rate = absl::GetFlag(FLAGS_learning_rate);
  options.adamw.weight_decay = absl::GetFlag(FLAGS_weight_decay);
  options.seed = absl::GetFlag(FLAGS_seed);
  if (options.epochs < 1) return absl::InvalidArgumentError("--epochs: must be above 0");
  if (options.batch_sequences < 1) return absl::InvalidArgumentError("--batch: must be above 0");
  if (!(options.learning_rate > 0)) {
    return absl::InvalidArgumentError("--learning_rate: must be above 0");
  }
  return options;
}

// One line now and then, and one after each epoch.
class ProgressLine {
 public:
  void operator()(const Pretrainer::Progress& progress) {
    const int64_t now_us = Clock::Real()->MonotonicUs();
    const bool last = progress.step * absl::GetFlag(FLAGS_epochs) % progress.steps == 0;
    if (!last && now_us - reported_us_ < kReportUs) return;
    reported_us_ = now_us;
    const double seconds = static_cast<double>(now_us - started_us_) * 1e-6;
    const double share = static_cast<double>(progress.step) / static_cast<double>(progress.steps);
    absl::PrintF("epoch %d, step %d of %d, loss %.4f, %.0f s gone, %.0f s to go\n", progress.epoch,
                 progress.step, progress.steps, progress.loss, seconds, seconds / share - seconds);
    std::fflush(stdout);
  }

 private:
  const int64_t started_us_ = Clock::Real()->MonotonicUs();
  int64_t reported_us_ = started_us_;
};

absl::Status Pretrain() {
  const std::string corpus = absl::GetFlag(FLAGS_corpus);
  const std::string out = absl::GetFlag(FLAGS_out);
  if (corpus.empty()) return absl::InvalidArgumentError("--corpus is missing");
  if (out.empty()) return absl::InvalidArgumentError("--out is missing");
  ASSIGN_OR_RETURN(const PretrainOptions options, OptionsOfFlags());
  ASSIGN_OR_RETURN(const std::string content, ReadFile(corpus, kCorpusBytesMax));
  ASSIGN_OR_RETURN(const std::vector<Sample> samples, ParseSamples(content, corpus));
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(out));
  ASSIGN_OR_RETURN(const ModelConfig config, ConfigOfFlags(tokenizer->vocab_size()));
  ASSIGN_OR_RETURN(std::vector<TokenSequence> sequences,
                   TokenSequences(samples, *tokenizer, config));
  CpuDevice device;
  const int threads = absl::GetFlag(FLAGS_threads);
  WorkerPool pool({.threads = threads > 0 ? threads
                                          : std::max(1, static_cast<int>(
                                                            std::thread::hardware_concurrency()))});
  Stream stream(&pool);
  ASSIGN_OR_RETURN(const std::unique_ptr<Pretrainer> pretrainer,
                   Pretrainer::Create(config, options, std::move(sequences), &device, &stream));
  ProgressLine progress_line;
  RETURN_IF_ERROR(pretrainer->Run(std::ref(progress_line)));
  return WriteModel(config, pretrainer->model().weights(), {.dtype = DType::kBf16}, out);
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) {
  alchemist::ParseFlags(argc, argv, "trains a model from random weights on a corpus");
  const absl::Status status = alchemist::Pretrain();
  if (!status.ok()) LOG(ERROR) << status;
  return status.ok() ? 0 : 1;
}
