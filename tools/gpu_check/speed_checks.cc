#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "tools/gpu_check/checks.h"

namespace alchemist {
namespace {

constexpr int kLaunches = 200;

absl::Status CheckDeviceCopy(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("copied ", run.form().copy_bytes >> 20, " MiB on the device");
  ASSIGN_OR_RETURN(AgentProcess * agent, run.QuietAgent());
  ASSIGN_OR_RETURN(const AgentMessage answer,
                   run.Ask(*agent, "copy_on_device",
                           {{"bytes", run.form().copy_bytes}, {"repeats", run.form().repeats}}));
  AddMeasurement(result, "copy_gb_per_s", answer.Number("gb_per_s"), "GB/s");
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrFormat("%.0f GB/s, read and written", answer.Number("gb_per_s"));
  result.consequence = "the ceiling of every kernel that is bound by memory";
  return absl::OkStatus();
}

absl::Status CheckHostCopy(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("copied ", run.form().copy_bytes >> 20,
                             " MiB both ways, pinned and pageable, in one and two streams");
  ASSIGN_OR_RETURN(AgentProcess * agent, run.QuietAgent());
  double pinned_to_host = 0;
  for (const bool pinned : {true, false}) {
    for (const bool to_device : {true, false}) {
      for (const int streams : {1, 2}) {
        ASSIGN_OR_RETURN(const AgentMessage answer, run.Ask(*agent, "copy_host",
                                                            {{"bytes", run.form().copy_bytes},
                                                             {"repeats", run.form().repeats},
                                                             {"pinned", pinned},
                                                             {"to_device", to_device},
                                                             {"streams", streams}}));
        const double rate = answer.Number("gb_per_s");
        if (pinned && !to_device && streams == 1) pinned_to_host = rate;
        AddMeasurement(result,
                       absl::StrCat(to_device ? "to_device_" : "to_host_",
                                    pinned ? "pinned" : "pageable", "/", streams, "_streams"),
                       rate, "GB/s");
      }
    }
  }
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrFormat("%.1f GB/s from the device to pinned memory", pinned_to_host);
  result.consequence = "what hedging can move between requests; the planner measures it at start";
  return absl::OkStatus();
}

struct ModelShape {
  const char* name;
  int64_t hidden;
  int64_t kv;  // Heads of K (or V) times their width.
  int64_t ffn;
};

constexpr ModelShape kLlama1B = {"Llama 3.2 1B", 2048, 512, 8192};
constexpr ModelShape kLlama8B = {"Llama 3.1 8B", 4096, 1024, 14336};

struct LinearShape {
  const char* name;
  int64_t outputs;
  int64_t inputs;
};

absl::Status CheckMatmul(CheckRun& run, const ModelShape& model, CheckResult& result) {
  const int64_t ffn_both = 2 * model.ffn;
  const LinearShape linears[] = {{"qkv", model.hidden + 2 * model.kv, model.hidden},
                                 {"o", model.hidden, model.hidden},
                                 {"gate_up", ffn_both, model.hidden},
                                 {"down", model.hidden, model.ffn}};
  result.done = absl::StrCat("multiplied random bf16 by cuBLASLt in the shapes of ", model.name,
                             ", with weights that are not in the L2 cache");
  ASSIGN_OR_RETURN(AgentProcess * agent, run.QuietAgent());
  double best = 0;
  std::string library;
  for (const LinearShape& linear : linears) {
    for (const int64_t rows : {16, 64, 256, 1024, 4096, 8192}) {
      const auto answer = run.Ask(*agent, "matmul",
                                  {{"rows", rows},
                                   {"outputs", linear.outputs},
                                   {"inputs", linear.inputs},
                                   {"repeats", run.form().repeats}});
      if (absl::IsNotFound(answer.status())) {  // No library: nothing is wrong with the GPU.
        result.happened = std::string(answer.status().message());
        result.consequence = "cuBLASLt must be installed for the CUDA backend";
        return absl::OkStatus();
      }
      RETURN_IF_ERROR(answer.status());
      const double rate = answer->Number("tflop_per_s");
      best = std::max(best, rate);
      library = answer->Text("library");
      AddMeasurement(result, absl::StrCat(rows, "_rows/", linear.name), rate, "TFLOP/s");
    }
  }
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrFormat("%.0f TFLOP/s at best, %s", best, library);
  result.consequence = "the ceilings of prefill and training steps";
  return absl::OkStatus();
}

absl::Status CheckMatmul1B(CheckRun& run, CheckResult& result) {
  return CheckMatmul(run, kLlama1B, result);
}

absl::Status CheckMatmul8B(CheckRun& run, CheckResult& result) {
  return CheckMatmul(run, kLlama8B, result);
}

absl::Status CheckLaunch(CheckRun& run, CheckResult& result) {
  result.done =
      absl::StrCat("launched an empty kernel ", kLaunches,
                   " times: one by one and as a graph, waiting for all, and waiting for each");
  ASSIGN_OR_RETURN(AgentProcess * agent, run.QuietAgent());
  ASSIGN_OR_RETURN(
      const AgentMessage answer,
      run.Ask(*agent, "launch", {{"launches", kLaunches}, {"repeats", run.form().repeats}}));
  AddMeasurement(result, "launch_us", answer.Number("launch_us"), "us");
  AddMeasurement(result, "graph_us", answer.Number("graph_us"), "us");
  AddMeasurement(result, "round_trip_us", answer.Number("round_trip_us"), "us");
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrFormat("%.1f us a kernel, %.1f in a graph, %.1f queued and waited for",
                                    answer.Number("launch_us"), answer.Number("graph_us"),
                                    answer.Number("round_trip_us"));
  result.consequence = "decode steps of small models are captured as graphs where that is less";
  return absl::OkStatus();
}

absl::Status CheckAttention(CheckRun& run, CheckResult& result) {
  constexpr int kTokens = 2048;
  constexpr int kHeads = 32;
  constexpr int kKvHeads = 8;
  constexpr int kHeadDim = 128;
  result.done = absl::StrCat("ran cuDNN's causal attention forward in bf16 over ", kTokens,
                             " tokens, ", kHeads, " heads (", kKvHeads, " of K/V) of ", kHeadDim);
  ASSIGN_OR_RETURN(AgentProcess * agent, run.QuietAgent());
  const auto answer = run.Ask(*agent, "attention",
                              {{"tokens", kTokens},
                               {"heads", kHeads},
                               {"kv_heads", kKvHeads},
                               {"head_dim", kHeadDim},
                               {"repeats", run.form().repeats}});
  if (absl::IsNotFound(answer.status())) {
    result.happened = std::string(answer.status().message());
    result.consequence = "cuDNN must be installed for prefill's attention";
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(answer.status());
  AddMeasurement(result, "attention_us", answer->Number("us"), "us");
  AddMeasurement(result, "attention_tflop_per_s", answer->Number("tflop_per_s"), "TFLOP/s");
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrFormat("%.0f us, %.0f TFLOP/s, %s", answer->Number("us"),
                                    answer->Number("tflop_per_s"), answer->Text("library"));
  result.consequence = "contiguous prefill attention is cuDNN's";
  return absl::OkStatus();
}

}  // namespace

CheckFunctions SpeedChecks() {
  return {{"speed.device_copy", CheckDeviceCopy}, {"speed.host_copy", CheckHostCopy},
          {"speed.matmul_1b", CheckMatmul1B},     {"speed.matmul_8b", CheckMatmul8B},
          {"speed.launch", CheckLaunch},          {"speed.attention", CheckAttention}};
}

CheckFunctions AllChecks() {
  CheckFunctions all = SharingChecks();
  for (const CheckFunctions& checks :
       {DeathChecks(), ReclaimChecks(), InterferenceChecks(), SpeedChecks()}) {
    all.insert(checks.begin(), checks.end());
  }
  return all;
}

}  // namespace alchemist
