// alchemist_replay: sends a trace of requests to a running alchemist-server, as its clients would,
// and says what they felt of it.
#include <signal.h>
#include <stdlib.h>

#include <atomic>
#include <iostream>
#include <random>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/status.h"
#include "tools/replay/replay_report.h"
#include "tools/replay/replay_run.h"
#include "tools/replay/trace.h"

ABSL_FLAG(std::string, server, "127.0.0.1:50051", "Address of the server.");
ABSL_FLAG(std::string, trace, "",
          "What to send: sharegpt, azure_code, mooncake (files of $ALCHEMIST_DATA), or a path.");
ABSL_FLAG(int64_t, requests, 200, "How many of the trace, from its first on; 0: all.");
ABSL_FLAG(double, speedup, 1,
          "Requests come so many times as fast as in the trace: 2 halves the gaps between them.");
ABSL_FLAG(double, rate, 0,
          "Requests per second (Poisson) of a trace that has no arrivals; 0: 1. An error for one "
          "that has them.");
ABSL_FLAG(
    double, length_scale, 1,
    "Prompts and answers are so many times as long as in the trace. What is still longer than "
    "the server takes is cut to that.");
ABSL_FLAG(int64_t, concurrency_max, 256,
          "Requests in flight, over a connection for each 64 of them. Those due beyond wait in the "
          "client, and their wait counts.");
ABSL_FLAG(int64_t, retries_max, 4,
          "How often a refused request is tried again, when the server says; 0: it has failed.");
ABSL_FLAG(int64_t, timeout_seconds, 600, "A request not answered by then has failed.");
ABSL_FLAG(
    std::string, session_id, "",
    "Of all requests: they keep one revision, and its prefix hits, while training publishes.");
ABSL_FLAG(
    uint64_t, seed, 0,
    "Of prompts and Poisson arrivals. 0: drawn and printed, so that no prompt hits on what an "
    "earlier replay left.");
ABSL_FLAG(double, slo_ttft_ms, 1000, "Goodput: the first token comes within this time.");
ABSL_FLAG(double, slo_tpot_ms, 100, "Goodput: further tokens take no longer each, on average.");
ABSL_FLAG(std::string, json, "", "Write the figures into this file, too.");

namespace alchemist {
namespace {

constexpr char kUsage[] = R"(Replays a trace of requests against a running alchemist-server.

  alchemist_replay --trace=TRACE [--server=HOST:PORT]

TRACE is sharegpt, azure_code or mooncake, which are files of the folder that ALCHEMIST_DATA names,
or the path of a file of one of these formats:
  CSV "prompt tokens,answer tokens"              as sharegpt: no arrivals, see --rate
  CSV "TIMESTAMP,prompt tokens,answer tokens"    as azure_code
  JSON lines {"timestamp": ms, "input_length", "output_length", "hash_ids"}
                                                 as mooncake: prompts share the prefixes that the
                                                 hashes of 512 tokens say

Each request is sent when it is due, whether or not earlier ones have ended. Its tokens are drawn at
random; its answer has all the tokens of the trace's. Latencies count from when it was due. Only
lengths, arrivals and shared prefixes are the trace's. Ctrl-C ends it and prints what was measured.

For a model with a context of 512 tokens, ten times as fast as it was, in a hundredth of the length:
  alchemist_replay --trace=mooncake --length_scale=0.01 --speedup=10 --slo_ttft_ms=200

Exit status: 0 when it was measured, whatever failed; 1 after an error, and when no request was
completed; 130 or 143 when stopped by a signal.)";

constexpr int64_t kRequestsMax = 10'000'000;
constexpr int64_t kConcurrencyMax = 1024;  // As many as one Abort can name.
constexpr int64_t kRetriesMax = 1000;
constexpr double kFactorMin = 1e-3;  // Slower, and arrivals would not fit their type.
constexpr double kFactorMax = 1e6;
constexpr double kSloMaxMs = 1e9;

std::atomic<bool> stop_requested{false};
std::atomic<int> stop_signal{0};

// A second signal ends the program at once.
void HandleSignals() {
  struct sigaction action = {};
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  action.sa_handler = [](int signal) {
    stop_signal = signal;
    stop_requested = true;
  };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

template <typename T>
absl::Status CheckFlag(absl::string_view name, T value, T min, T max) {
  if (value >= min && value <= max) return absl::OkStatus();  // No NaN is.
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, ": ", value, " is not in [", min, ", ", max, "]"));
}

absl::Status CheckFlags() {
  const double rate = absl::GetFlag(FLAGS_rate);
  RETURN_IF_ERROR(CheckFlag("requests", absl::GetFlag(FLAGS_requests), int64_t{0}, kRequestsMax));
  RETURN_IF_ERROR(CheckFlag("speedup", absl::GetFlag(FLAGS_speedup), kFactorMin, kFactorMax));
  if (rate != 0) RETURN_IF_ERROR(CheckFlag("rate", rate, kFactorMin, kFactorMax));
  RETURN_IF_ERROR(
      CheckFlag("length_scale", absl::GetFlag(FLAGS_length_scale), kFactorMin, kFactorMax));
  RETURN_IF_ERROR(CheckFlag("concurrency_max", absl::GetFlag(FLAGS_concurrency_max), int64_t{1},
                            kConcurrencyMax));
  RETURN_IF_ERROR(
      CheckFlag("retries_max", absl::GetFlag(FLAGS_retries_max), int64_t{0}, kRetriesMax));
  RETURN_IF_ERROR(CheckFlag("slo_ttft_ms", absl::GetFlag(FLAGS_slo_ttft_ms), 0.0, kSloMaxMs));
  return CheckFlag("slo_tpot_ms", absl::GetFlag(FLAGS_slo_tpot_ms), 0.0, kSloMaxMs);
}

absl::StatusOr<ReplayOptions> OptionsOfFlags() {
  RETURN_IF_ERROR(CheckFlags());
  ReplayOptions options;
  options.server = absl::GetFlag(FLAGS_server);
  options.trace = absl::GetFlag(FLAGS_trace);
  const char* const data_dir = getenv("ALCHEMIST_DATA");
  ASSIGN_OR_RETURN(options.trace_path,
                   TracePath(options.trace, data_dir == nullptr ? "" : data_dir));
  options.scale.requests = absl::GetFlag(FLAGS_requests);
  options.scale.speedup = absl::GetFlag(FLAGS_speedup);
  options.per_second_is_set = absl::GetFlag(FLAGS_rate) != 0;
  if (options.per_second_is_set) options.scale.per_second = absl::GetFlag(FLAGS_rate);
  options.scale.length_scale = absl::GetFlag(FLAGS_length_scale);
  options.scale.seed = absl::GetFlag(FLAGS_seed);
  if (options.scale.seed == 0) options.scale.seed = std::random_device()();
  options.concurrency_max = absl::GetFlag(FLAGS_concurrency_max);
  options.retries_max = absl::GetFlag(FLAGS_retries_max);
  ASSIGN_OR_RETURN(options.timeout_us,
                   DurationFlagUs("timeout_seconds", absl::GetFlag(FLAGS_timeout_seconds),
                                  /*unit_us=*/1'000'000, /*min=*/1));
  options.session_id = absl::GetFlag(FLAGS_session_id);
  options.slo = {.ttft_ms = absl::GetFlag(FLAGS_slo_ttft_ms),
                 .tpot_ms = absl::GetFlag(FLAGS_slo_tpot_ms)};
  return options;
}

absl::Status Replay() {
  ASSIGN_OR_RETURN(const ReplayOptions options, OptionsOfFlags());
  ASSIGN_OR_RETURN(const ReplayResult result,
                   RunReplay(options, stop_requested,
                             [](const std::string& text) { std::cerr << text << "\n"; }));
  std::cout << ReplayTable(options, result) << std::flush;
  const std::string file = absl::GetFlag(FLAGS_json);
  if (!file.empty()) RETURN_IF_ERROR(ReplaceFile(file, ReplayJson(options, result)));
  if (result.summary.completed > 0 || stop_requested) return absl::OkStatus();
  return absl::UnavailableError("no request was completed");
}

int Main(int argc, char** argv) {
  ParseFlags(argc, argv, kUsage);
  HandleSignals();
  const absl::Status status = Replay();
  if (!status.ok()) std::cerr << "alchemist_replay: " << status.message() << "\n";
  if (stop_requested) return 128 + stop_signal;
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) { return alchemist::Main(argc, argv); }
