#include "tools/bench/grpc_rows.h"

#include <time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/logging.h"
#include "model/config.h"
#include "server/batcher.h"
#include "server/completion_stream.h"
#include "tools/bench/bench_daemons.h"
#include "tools/bench/bench_model.h"
#include "tools/bench/bench_prompt.h"
#include "tools/bench/in_process_server.h"
#include "tools/bench/pairs.h"
#include "tools/bench/proc_files.h"
#include "tools/bench/server_steps.h"
#include "tools/bench/stopwatch.h"
#include "tools/client/requests.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int64_t kStreams = 64;
constexpr int64_t kPromptTokens = 8;
constexpr int64_t kAnswerTokens = 256;
constexpr int64_t kAnswerTokensInShort = 8;
constexpr double kUsPerTokenMax = 50;

constexpr int64_t kLongPrompt = 2048;
constexpr int64_t kLongPromptInShort = 512;
constexpr double kBesideALayerMs = 5;

double ProcessCpuSeconds() {
  timespec time;
  PCHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

int64_t AnswerTokens(const BenchContext& context) {
  return context.is_short ? kAnswerTokensInShort : kAnswerTokens;
}

// Answers to all streams at once by an engine in this process that nobody reads from over gRPC: the
// CPU time of one token, in microseconds.
absl::StatusOr<double> EngineUsPerToken(InProcessServer& server, int64_t tokens) {
  BatcherOptions options = InProcessServer::OptionsFor(RecordMode::kOff);
  options.running_max = kStreams;
  ASSIGN_OR_RETURN(const std::unique_ptr<Batcher> batcher, server.MakeBatcher(options));
  std::vector<std::shared_ptr<CompletionStream>> streams;
  for (int64_t i = 0; i < kStreams; ++i) {
    ASSIGN_OR_RETURN(
        streams.emplace_back(),
        server.Add(*batcher, BenchPrompt(kPromptTokens, server.model().config().vocab, i), tokens));
  }
  const double before = ProcessCpuSeconds();
  while (batcher->RunStep()) InProcessServer::TakeAll(streams);
  return (ProcessCpuSeconds() - before) * 1e6 / static_cast<double>(kStreams * tokens);
}

// The same by the daemon, for as many clients.
absl::StatusOr<double> DaemonUsPerToken(Daemons& daemons, int64_t vocab, int64_t tokens) {
  const auto cpu_seconds = [&]() -> absl::StatusOr<double> {
    ASSIGN_OR_RETURN(const std::string stat, ReadProcFile(daemons.server().pid(), "stat"));
    return CpuSeconds(stat);
  };
  ASSIGN_OR_RETURN(const double before, cpu_seconds());
  std::vector<absl::Status> ends(kStreams);
  std::vector<std::thread> clients;
  for (int64_t i = 0; i < kStreams; ++i) {
    clients.emplace_back([&, i] {
      ends[i] = daemons.client()
                    .Complete(GreedyRequest(BenchPrompt(kPromptTokens, vocab, i), tokens))
                    .status();
    });
  }
  for (std::thread& client : clients) client.join();
  for (const absl::Status& end : ends) RETURN_IF_ERROR(end);
  ASSIGN_OR_RETURN(const double after, cpu_seconds());
  return (after - before) * 1e6 / static_cast<double>(kStreams * tokens);
}

// Long prompts one after the other, for as long as the object lives.
class LongPrompts {
 public:
  LongPrompts(AlchemistClient* client, int64_t vocab, int64_t tokens)
      : client_(client), thread_([=, this] { Run(vocab, tokens); }) {}
  ~LongPrompts() {
    stop_ = true;
    thread_.join();
  }
  int64_t done() const { return done_; }
  bool failed() const { return failed_; }

 private:
  void Run(int64_t vocab, int64_t tokens) {
    for (uint64_t seed = 1; !stop_ && !failed_; ++seed) {
      failed_ = !client_->Complete(GreedyRequest(BenchPrompt(tokens, vocab, seed), 1)).ok();
      ++done_;
    }
  }

  AlchemistClient* const client_;
  std::atomic<bool> stop_{false}, failed_{false};
  std::atomic<int64_t> done_{0};
  std::thread thread_;
};

}  // namespace

absl::StatusOr<BenchRow> CpuPerToken(const BenchContext& context) {
  BenchContext tiny = context;
  tiny.model_directory = context.work_dir + "/tiny";
  tiny.threads = 1;
  ASSIGN_OR_RETURN(const ModelConfig config, BenchShape("tiny"));
  RETURN_IF_ERROR(MakeBenchModel(config, DType::kF32, tiny.model_directory));
  InProcessServer::Options options;
  options.model_directory = tiny.model_directory;
  options.serving_tokens = kStreams * (kPromptTokens + kAnswerTokens + kKvPageTokens);
  ASSIGN_OR_RETURN(const std::unique_ptr<InProcessServer> engine, InProcessServer::Create(options));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Daemons> daemons,
      StartBenchServer(tiny, {}, {absl::StrCat("--running_max=", kStreams), "--record=off"}));
  const int64_t tokens = AnswerTokens(context);
  ASSIGN_OR_RETURN(const PairSamples<> us,
                   MeasurePairs(
                       context.pairs, [&] { return EngineUsPerToken(*engine, tokens); },
                       [&] { return DaemonUsPerToken(*daemons, config.vocab, tokens); },
                       context.PairProgress("64 streams of a tiny model", context.pairs)));
  std::vector<double> differences;
  for (size_t i = 0; i < us.b.size(); ++i) differences.push_back(us.b[i] - us.a[i]);
  return AbsoluteRow("e2e_us_per_token", differences, "us", Bound::AtMost(kUsPerTokenMax),
                     {{"streams", kStreams},
                      {"tokens_each", tokens},
                      {"us_of_server", Median(us.b)},
                      {"us_of_engine", Median(us.a)}});
}

absl::StatusOr<BenchRow> CommandLatency(const BenchContext& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Daemons> daemons, StartBenchServer(context, {}, {}));
  ASSIGN_OR_RETURN(const v1::GetModelInfoResponse info, daemons->client().GetModelInfo());
  const int64_t tokens = context.is_short ? kLongPromptInShort : kLongPrompt;
  LongPrompts prompts(&daemons->client(), info.vocab_size(), tokens);
  std::vector<double> p99_ms;
  int64_t calls = 0;
  const int64_t begin_us = Clock::Real()->MonotonicUs();
  for (int64_t round = 0; round < context.pairs; ++round) {
    RETURN_IF_ERROR(context.progress("commands beside long prompts", round, context.pairs));
    std::vector<double> latencies_ms;
    // Two prompts end: one of them was run from beginning to end.
    for (const int64_t until = prompts.done() + 2; prompts.done() < until && !prompts.failed();) {
      const int64_t call_us = Clock::Real()->MonotonicUs();
      RETURN_IF_ERROR(daemons->client().GetLoad().status());
      latencies_ms.push_back(1e3 * SecondsBetween(call_us, Clock::Real()->MonotonicUs()));
    }
    if (prompts.failed()) return absl::InternalError("a prompt failed\n" + daemons->Logs());
    p99_ms.push_back(Percentile(latencies_ms, 0.99));
    calls += static_cast<int64_t>(latencies_ms.size());
  }
  ASSIGN_OR_RETURN(const std::string text, daemons->client().Inspect("steps"));
  ASSIGN_OR_RETURN(const ServerSteps steps, ParseSteps(text, begin_us));
  const double chunk_ms = Percentile(steps.step_ms, 0.99);
  const double layer_ms = chunk_ms / static_cast<double>(info.layers());
  return AbsoluteRow("command_latency_p99_ms", p99_ms, "ms",
                     Bound::AtMost(layer_ms + kBesideALayerMs),
                     {{"dtype", info.dtype()},
                      {"prompt_tokens", tokens},
                      {"calls", calls},
                      {"chunk_ms_p99", chunk_ms},
                      {"layer_ms", layer_ms}});
}

}  // namespace alchemist
