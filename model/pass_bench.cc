// Tokens per second of the passes over one model, alone on the machine:
//   pass_bench --model=DIRECTORY [--dtype=auto] [--threads=2] [--prompt=512] [--response=64]
//   [--rank=16] [--only=prefill]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/random.h"
#include "base/status.h"
#include "kernels/matmul.h"
#include "model/backward.h"
#include "model/lora_adapter.h"
#include "model/model.h"
#include "model/pass_testing.h"

ABSL_FLAG(std::string, model, "", "Hugging Face directory");
ABSL_FLAG(std::string, dtype, "auto", "of the passes: f32, bf16 or auto, the weights' own");
ABSL_FLAG(int32_t, threads, 2, "compute threads");
ABSL_FLAG(int32_t, prompt, 512, "rows of the prompt");
ABSL_FLAG(int32_t, response, 64, "rows of the response, all trained");
ABSL_FLAG(int32_t, rank, 16, "of the adapter on all linears");
ABSL_FLAG(std::string, only, "", "what the measured pass is called must begin so (for a profiler)");

namespace alchemist {
namespace {

constexpr int64_t kMeasureUs = 2'000'000;

// Calls `run`, which works on `tokens` tokens, for about kMeasureUs and prints its best rate.
void Measure(const char* what, int64_t tokens, absl::FunctionRef<void()> run) {
  if (!absl::StartsWith(what, absl::GetFlag(FLAGS_only))) return;
  const Clock* const clock = Clock::Real();
  run();  // Makes kernels and touches memory.
  int64_t best_us = INT64_MAX;
  for (const int64_t end = clock->MonotonicUs() + kMeasureUs; clock->MonotonicUs() < end;) {
    const int64_t begin = clock->MonotonicUs();
    run();
    best_us = std::min(best_us, clock->MonotonicUs() - begin);
  }
  std::printf("%-44s %9.1f tokens/s\n", what, 1e6 * tokens / std::max<int64_t>(1, best_us));
}

std::unique_ptr<LoraAdapter> MakeAdapter(const ModelConfig& config) {
  LoraConfig lora;
  lora.rank = absl::GetFlag(FLAGS_rank);
  lora.targets.assign(kLinears.begin(), kLinears.end());
  auto adapter = LoraAdapter::Create(config, lora, /*seed=*/1);
  CHECK(adapter.ok()) << adapter.status();
  return *std::move(adapter);
}

absl::Status Run(const Model& model) {
  RETURN_IF_ERROR(MatmulSelfTest(model.MatmulShapes(), model.dtype()));
  std::printf("%s\n", MatmulDescription().c_str());
  TestMachine machine(absl::GetFlag(FLAGS_threads));
  Random random(1);
  const int64_t vocab = model.config().vocab;
  const int32_t prompt_rows = absl::GetFlag(FLAGS_prompt);
  const int32_t response_rows = absl::GetFlag(FLAGS_response);
  const std::unique_ptr<LoraAdapter> adapter = MakeAdapter(model.config());
  TestNode prompt = {
      -1, RandomTokens(prompt_rows, vocab, &random), {prompt_rows - 1}, adapter.get()};
  TestNode response = {0, RandomTokens(response_rows, vocab, &random), {}, adapter.get()};
  std::vector<TrainedToken> trained;
  for (int32_t row = 0; row < response_rows; ++row) {
    response.head_rows.push_back(row);
    trained.push_back({1, row, 0});
  }
  const TestNode next = {0, RandomTokens(1, vocab, &random), {0}, adapter.get()};
  TestForest forest(model, {prompt, response, next}, &machine);
  Measure("prefill", prompt_rows, [&] { forest.ForwardTogether(0, 1); });
  Measure("decode of one sequence after the prompt", 1,
          [&] { forest.ForwardTogether(2, 3, RowPhase::kDecode); });
  Measure("response over the prompt's K/V", response_rows, [&] { forest.ForwardTogether(1, 2); });

  std::vector<BackwardNode> nodes = forest.Nodes();
  nodes.pop_back();  // The decoded row is not trained.
  const std::vector<float> c(trained.size(), -1.0f);
  Measure("head and backward, prompt and response", prompt_rows + response_rows,
          [&] { BackwardForTest(model, nodes, trained, c, *adapter, &machine); });
  return absl::OkStatus();
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const auto dtype = alchemist::ParseModelDType(absl::GetFlag(FLAGS_dtype));
  const auto model =
      dtype.ok() ? alchemist::Model::Load(absl::GetFlag(FLAGS_model), *dtype) : dtype.status();
  const absl::Status status = model.ok() ? alchemist::Run(**model) : model.status();
  if (status.ok()) return 0;
  std::fprintf(stderr, "pass_bench: %s\n", status.ToString().c_str());
  return 1;
}
