// alchemist_bench: how fast Alchemist is beside what the machine can do, and what its promises
// cost.
//
// Workloads, by benchmark (each benchmark's source begins with its own in full); all on random
// weights of SmolLM2-135M's shape unless --model or --shape says otherwise:
//   serve            a prompt of 512 tokens; decode of one sequence
//   reuse            a training step over ShareGPT's lengths, scaled to a context of 1,024
//   record_overhead  prompts of 512 tokens, and four answers at once, recorded or not; a burst
//   beside
//                    a store full of records
//   interference     requests of 128 + 64 tokens at 30, 60 and 90% load, and conversations of four
//                    turns, while the trainer works or is stopped
//   memory           both daemons after one answer and one training step
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/flags.h"
#include "kernels/matmul.h"
#include "kernels/simd_level.h"
#include "kernels/tensor_view.h"
#include "model/model.h"
#include "tools/bench/bench_model.h"
#include "tools/bench/context.h"
#include "tools/bench/interference_bench.h"
#include "tools/bench/machine.h"
#include "tools/bench/memory_bench.h"
#include "tools/bench/ratio.h"
#include "tools/bench/record_overhead_bench.h"
#include "tools/bench/report.h"
#include "tools/bench/reuse_bench.h"
#include "tools/bench/serve_bench.h"
#include "tools/daemons/work_directory.h"

ABSL_FLAG(std::string, benchmark, "", "Which benchmark to run; --help lists them.");
ABSL_FLAG(std::string, json, "", "Write the rows into this file too.");
ABSL_FLAG(std::string, model, "", "A Hugging Face directory to run on.");
ABSL_FLAG(std::string, shape, "135m",
          "Without --model: random weights of this shape, 135m (SmolLM2-135M) or tiny.");
ABSL_FLAG(std::string, dtype, "auto",
          "Type of these weights: f32, bf16, or auto: bf16 where the CPU multiplies it.");
ABSL_FLAG(std::string, model_cache, "",
          "Keep these weights in this directory and use them in the next run; else they are made "
          "anew.");
ABSL_FLAG(int, threads, 0, "Compute threads; 0: one per core.");
ABSL_FLAG(
    int64_t, pairs, 0,
    "Pairs of measurements of each ratio; fewer than 9 prove nothing. 0: 9, or 3 with --short.");
ABSL_FLAG(
    std::string, only, "",
    "Measure the rows alone whose names contain this (serve, record_overhead, interference).");
ABSL_FLAG(bool, short, false, "Everything little: whether it works, not how fast it is.");
ABSL_FLAG(std::string, server_program, "", "alchemist-server; by default the one built beside.");
ABSL_FLAG(std::string, trainer_program, "", "alchemist-trainer; by default the one built beside.");

namespace alchemist {
namespace {

constexpr int64_t kShortPairs = 3;

struct Benchmark {
  const char* name;
  const char* what;
  absl::StatusOr<BenchResult> (*run)(const BenchContext& context);
};
constexpr Benchmark kBenchmarks[] = {
    {"serve", "prefill and decode against the machine's own peaks", RunServeBench},
    {"reuse", "training with what serving recorded, over without; needs $ALCHEMIST_DATA",
     RunReuseBench},
    {"record_overhead", "what recording costs prompts and answers in time, and serving in room",
     RunRecordOverheadBench},
    {"interference", "what serving and its clients feel of the trainer, with both daemons",
     RunInterferenceBench},
    {"memory", "that weights are in memory once, with both daemons", RunMemoryBench},
};

std::string BenchmarkList() {
  std::string text;
  for (const Benchmark& benchmark : kBenchmarks) {
    absl::StrAppend(&text, "  ", benchmark.name, std::string(18 - strlen(benchmark.name), ' '),
                    benchmark.what, "\n");
  }
  return text;
}

std::string Usage() {
  return absl::StrCat(R"(Measures Alchemist by the protocol of docs/numbers.md.

  alchemist_bench --benchmark=NAME [--json=FILE]

Benchmarks:
)",
                      BenchmarkList(), R"(
A ratio is the median of 9 interleaved pairs A B A B. Each row says what it is held to, what was
measured, how sure the median is, and how A differs from A in the same run. `noisy`: the machine
was too restless to tell. Run it on a machine that does nothing else.

Exit status: 0 when it was measured, whatever the verdicts, or had to be skipped; 1 after an error;
130 or 143 when stopped by a signal.)");
}

std::atomic<bool> stop_requested{false};
std::atomic<int> stop_signal{0};

// A benchmark notices the stop at its next pair; then its daemons and files go.
void HandleSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) {
    stop_signal = signal;
    stop_requested = true;
  };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

absl::Status ShowProgress(const std::string& what, int64_t done, int64_t of) {
  if (stop_requested) return absl::CancelledError("stopped");
  std::cerr << what << ": " << done << " of " << of << "\n";
  return absl::OkStatus();
}

absl::StatusOr<DType> DTypeOfFlag() {
  const std::string name = absl::GetFlag(FLAGS_dtype);
  if (name == "auto") {
    return IsSupported(SimdLevel::kAvx512Bf16) ? DType::kBf16 : DType::kF32;
  }
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    if (name == DTypeName(dtype)) return dtype;
  }
  return absl::InvalidArgumentError(absl::StrCat("--dtype=", name, ": not auto, f32 or bf16"));
}

// The directory of the model to run on, made where it has to be.
absl::StatusOr<std::string> PrepareModel(const std::string& work_dir) {
  if (const std::string model = absl::GetFlag(FLAGS_model); !model.empty()) return model;
  std::string directory = absl::GetFlag(FLAGS_model_cache);
  if (directory.empty()) directory = work_dir + "/model";
  ASSIGN_OR_RETURN(const ModelConfig config, BenchShape(absl::GetFlag(FLAGS_shape)));
  ASSIGN_OR_RETURN(const DType dtype, DTypeOfFlag());
  RETURN_IF_ERROR(MakeBenchModel(config, dtype, directory));
  return directory;
}

// `label` of the same build as this program.
std::string ProgramBeside(const std::string& flag, const std::string& label) {
  if (!flag.empty()) return flag;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "../.." / label).lexically_normal();
}

absl::StatusOr<BenchContext> ContextOfFlags(const std::string& work_dir) {
  BenchContext context;
  context.work_dir = work_dir;
  const char* const data_dir = getenv("ALCHEMIST_DATA");
  context.data_dir = data_dir == nullptr ? "" : data_dir;
  context.server_program =
      ProgramBeside(absl::GetFlag(FLAGS_server_program), "server/alchemist-server");
  context.trainer_program =
      ProgramBeside(absl::GetFlag(FLAGS_trainer_program), "trainer/alchemist-trainer");
  context.threads = absl::GetFlag(FLAGS_threads);
  if (context.threads <= 0) context.threads = static_cast<int>(std::thread::hardware_concurrency());
  context.is_short = absl::GetFlag(FLAGS_short);
  context.only = absl::GetFlag(FLAGS_only);
  context.pairs = absl::GetFlag(FLAGS_pairs);
  if (context.pairs < 0) return absl::InvalidArgumentError("--pairs: must not be below 0");
  if (context.pairs == 0) context.pairs = context.is_short ? kShortPairs : kPairsMin;
  context.stop = &stop_requested;
  context.progress = ShowProgress;
  ASSIGN_OR_RETURN(context.model_directory, PrepareModel(work_dir));
  return context;
}

// The machine, and how it multiplies with the model's weights, here and in the daemons. Before the
// benchmark, which may choose products for other weights as well.
absl::StatusOr<BenchParams> DescribeMachineFor(const std::string& model_directory) {
  ASSIGN_OR_RETURN(const std::unique_ptr<const Model> model, Model::Load(model_directory));
  RETURN_IF_ERROR(MatmulSelfTest(model->MatmulShapes(), model->dtype()));
  return DescribeMachine();
}

absl::Status RunBenchmark(const Benchmark& benchmark, const std::string& command) {
  ASSIGN_OR_RETURN(const WorkDirectory work_dir, WorkDirectory::Create("alchemist_bench"));
  ASSIGN_OR_RETURN(const BenchContext context, ContextOfFlags(work_dir.path()));
  ASSIGN_OR_RETURN(BenchParams machine, DescribeMachineFor(context.model_directory));
  ASSIGN_OR_RETURN(BenchResult result, benchmark.run(context));
  if (!result.skip_reason.empty()) {
    std::cout << benchmark.name << ": skipped: " << result.skip_reason << "\n";
    return absl::OkStatus();
  }
  const BenchReport report = {benchmark.name, std::move(machine), command, std::move(result.rows)};
  std::cout << TableText(report) << std::flush;
  const std::string file = absl::GetFlag(FLAGS_json);
  return file.empty() ? absl::OkStatus() : ReplaceFile(file, ReportJson(report));
}

absl::Status RunNamed(const std::string& command) {
  const std::string name = absl::GetFlag(FLAGS_benchmark);
  for (const Benchmark& benchmark : kBenchmarks) {
    if (name == benchmark.name) return RunBenchmark(benchmark, command);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--benchmark=", name, ": not one of\n", BenchmarkList()));
}

int Main(int argc, char** argv) {
  const std::string command = absl::StrJoin(argv, argv + argc, " ");
  ParseFlags(argc, argv, Usage());
  HandleSignals();
  const absl::Status status = RunNamed(command);
  if (stop_requested) return 128 + stop_signal;
  if (status.ok()) return 0;
  std::cerr << "alchemist_bench: " << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) { return alchemist::Main(argc, argv); }
