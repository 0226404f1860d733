// Workload:
//   weight_pss_ratio   both daemons have answered, and trained on, one prompt of 64 tokens; then
//   the
//                      Pss (/proc/PID/smaps) of the pages of the weights over both, in the model's
//                      files or the memfd of converted ones, over the bytes of the files.
#include "tools/bench/memory_bench.h"

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/config.h"
#include "tools/bench/bench_daemons.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/proc_files.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

constexpr int64_t kPromptTokens = 64;
constexpr int64_t kAnswerTokens = 4;
constexpr char kConverted[] = "/memfd:alchemist-weights";

// As the kernel names them, and how long they are.
struct WeightFiles {
  std::vector<std::string> paths;
  int64_t bytes = 0;
};

absl::StatusOr<WeightFiles> FindWeightFiles(const std::string& directory) {
  WeightFiles files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() != ".safetensors") continue;
    files.paths.push_back(std::filesystem::canonical(entry.path(), error));
    files.bytes += static_cast<int64_t>(entry.file_size(error));
  }
  if (error) return absl::NotFoundError(absl::StrCat(directory, ": ", error.message()));
  if (files.bytes == 0) return absl::NotFoundError(absl::StrCat(directory, ": has no weights"));
  return files;
}

// Serves and learns, so that both have read every weight.
absl::Status UseAllWeights(int64_t vocab, Daemons& daemons) {
  RETURN_IF_ERROR(daemons.StartTrainer());
  RETURN_IF_ERROR(daemons.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  const std::vector<int32_t> prompt = BenchPrompt(kPromptTokens, vocab, /*seed=*/1);
  ASSIGN_OR_RETURN(const Answer answer,
                   daemons.client().Complete(GreedyRequest(prompt, kAnswerTokens)));
  ASSIGN_OR_RETURN(const v1::SubmitFeedbackResponse feedback,
                   daemons.client().SubmitFeedback(
                       CorrectionOf(answer.final.completion_id(), "correction", "something else")));
  return daemons.WaitForDone({feedback.feedback_id()});
}

absl::StatusOr<int64_t> WeightPss(Process& process, const std::vector<std::string>& paths) {
  ASSIGN_OR_RETURN(const std::string smaps, ReadProcFile(process.pid(), "smaps"));
  return PssBytes(smaps, paths);
}

}  // namespace

absl::StatusOr<BenchResult> RunMemoryBench(const BenchContext& context) {
  ASSIGN_OR_RETURN(WeightFiles files, FindWeightFiles(context.model_directory));
  ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(context.model_directory));
  files.paths.push_back(kConverted);
  ASSIGN_OR_RETURN(const std::unique_ptr<Daemons> daemons,
                   StartBenchServer(context, {"--passes=1"}));
  RETURN_IF_ERROR(context.progress("both daemons use all weights", 0, 1));
  RETURN_IF_ERROR(UseAllWeights(config.vocab, *daemons));
  ASSIGN_OR_RETURN(const int64_t server_bytes, WeightPss(daemons->server(), files.paths));
  ASSIGN_OR_RETURN(const int64_t trainer_bytes, WeightPss(daemons->trainer(), files.paths));
  const double ratio =
      static_cast<double>(server_bytes + trainer_bytes) / static_cast<double>(files.bytes);
  BenchResult result;
  result.rows.push_back(ExactRow("weight_pss_ratio", ratio, "ratio", Bound::AtMost(1.02),
                                 {{"file_bytes", files.bytes},
                                  {"server_pss_bytes", server_bytes},
                                  {"trainer_pss_bytes", trainer_bytes}}));
  return result;
}

}  // namespace alchemist
