// alchemist_replay against a running server: each format of trace comes out as the requests that it
// says, prefixes are shared as its hashes say, and what the server refuses is counted. How long
// anything takes is not asked here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/json.h"
#include "proto/alchemist/v1/completion.pb.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"
#include "tools/daemons/process.h"

namespace alchemist {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kLongContext = 1 << 15;
constexpr int64_t kLongAnswer = 30'000;  // None ends by itself in the time of a test.
constexpr int64_t kFileBytesMax = 1 << 20;
constexpr char kAzureHeadings[] = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n";

class ReplayE2eTest : public ::testing::Test {
 protected:
  ReplayE2eTest() {
    std::string path = ::testing::TempDir() + "/r.XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr) << path;
    directory_ = path;
  }
  ~ReplayE2eTest() override { std::filesystem::remove_all(directory_); }

  void StartServer(int64_t context, std::vector<std::string> flags = {}) {
    const std::string model = directory_ + "/model";
    ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, model, DType::kF32, context));
    // A quarter of all tokens end an answer, so that one of the trace's length ignored them.
    std::vector<int> eos_ids(64);
    std::iota(eos_ids.begin(), eos_ids.end(), 1);
    ASSERT_OK(
        WriteFileSynced(model + "/generation_config.json",
                        absl::StrCat("{\"eos_token_id\": [", absl::StrJoin(eos_ids, ","), "]}")));
    daemons_ = std::make_unique<TestDaemons>(model);
    ASSERT_OK(daemons_->StartServer({.flags = std::move(flags)}));
    server_flag_ = absl::StrCat("--server=127.0.0.1:", daemons_->port());
  }

  // Requests of the test itself, which end when they are aborted.
  struct LongCalls {
    std::vector<std::string> ids;
    std::vector<std::future<absl::Status>> ended;
  };
  // One that runs, and one that waits: a server started with room for so many is full.
  LongCalls FillServer() {
    LongCalls calls;
    while (calls.ended.size() < 2) {
      auto started = std::make_shared<std::promise<std::string>>();
      std::future<std::string> id = started->get_future();
      std::future<absl::Status> ended = std::async(std::launch::async, [this, started] {
        v1::CompleteRequest request = GreedyRequest("long", kLongAnswer);
        request.set_ignore_eos(true);
        return daemons_->client()
            .Complete(request, /*on_chunk=*/nullptr,
                      [&](const std::string& request_id) { started->set_value(request_id); })
            .status();
      });
      calls.ids.push_back(id.get());
      calls.ended.push_back(std::move(ended));
      EXPECT_OK(daemons_->WaitFor("its place", [&] {
        const auto load = daemons_->client().GetLoad();
        return load.ok() && load->requests_running() == 1 &&
               load->requests_waiting() == static_cast<int64_t>(calls.ended.size()) - 1;
      }));
    }
    return calls;
  }

  // Writes `text` where --trace finds it; returns that.
  std::string TraceFile(const std::string& text, const std::string& name = "trace") {
    EXPECT_OK(WriteFileSynced(absl::StrCat(directory_, "/", name), text));
    return absl::StrCat("--trace=", directory_, "/", name);
  }

  void Start(const std::vector<std::string>& flags, const std::string& data_dir = "") {
    std::vector<std::string> command = {ProgramPath("tools/replay/alchemist_replay"), server_flag_,
                                        "--json=" + json_path()};
    command.insert(command.end(), flags.begin(), flags.end());
    auto process = Process::Start({.command = std::move(command),
                                   .environment = {{"ALCHEMIST_DATA", data_dir}},
                                   .log_path = absl::StrCat(directory_, "/log", ++runs_)});
    ASSERT_OK(process.status());
    process_ = *std::move(process);
  }
  // Runs it to its end; returns its figures.
  nlohmann::json Run(const std::vector<std::string>& flags, const std::string& data_dir = "") {
    Start(flags, data_dir);
    return process_ == nullptr ? nlohmann::json() : Figures(/*exit_code=*/0);
  }
  nlohmann::json Figures(int exit_code) {
    EXPECT_TRUE(process_->WaitForExit(TestDaemons::kDeadlineUs)) << process_->Log();
    EXPECT_TRUE(process_->exited_with(exit_code)) << process_->Log();
    const auto text = ReadFile(json_path(), kFileBytesMax);
    EXPECT_OK(text.status());
    auto json = ParseJson(text.value_or("{}"), "figures");
    EXPECT_OK(json.status());
    return json.value_or(nlohmann::json());
  }
  // Runs it to its failure; returns what it said.
  std::string Refusal(const std::vector<std::string>& flags) {
    Start(flags);
    if (process_ == nullptr) return "";
    EXPECT_TRUE(process_->WaitForExit(TestDaemons::kDeadlineUs)) << process_->Log();
    EXPECT_TRUE(process_->exited_with(1)) << process_->Log();
    return process_->Log();
  }

  std::string json_path() const { return directory_ + "/figures.json"; }

  std::string directory_;
  std::unique_ptr<TestDaemons> daemons_;
  std::string server_flag_ = "--server=127.0.0.1:1";  // Where nobody listens.
  std::unique_ptr<Process> process_;
  int runs_ = 0;
};

void ExpectCompleted(const nlohmann::json& figures, int64_t completed, int64_t prompt_tokens,
                     int64_t answer_tokens) {
  EXPECT_EQ(figures.value("requests", -1), completed) << figures;
  EXPECT_EQ(figures.value("completed", -1), completed) << figures;
  EXPECT_EQ(figures.value("failed", -1), 0) << figures;
  EXPECT_EQ(figures.value("unfinished", -1), 0) << figures;
  EXPECT_EQ(figures.value("prompt_tokens", -1), prompt_tokens) << figures;
  EXPECT_EQ(figures.value("answer_tokens", -1), answer_tokens) << figures;
}

TEST_F(ReplayE2eTest, LengthsAloneAreSentAtTheRate) {
  ASSERT_NO_FATAL_FAILURE(StartServer(kTestContext));
  std::filesystem::create_directory(directory_ + "/traces");
  TraceFile("prompt,answer,total\n74,918,992\n290,905,1195\n1402,711,2113\n2497,918,3415\n",
            "traces/sharegpt_lengths.csv");
  const auto figures =
      Run({"--trace=sharegpt", "--requests=3", "--length_scale=0.1", "--rate=1000"}, directory_);
  ExpectCompleted(figures, 3, 7 + 29 + 140, 91 + 90 + 71);
  EXPECT_EQ(figures.value("cut", -1), 0);
  EXPECT_EQ(figures.value("cached_tokens", -1), 0);
}

TEST_F(ReplayE2eTest, ArrivalsOfAzureAreSentWithWhatIsTooLongCutToTheModel) {
  ASSERT_NO_FATAL_FAILURE(StartServer(kTestContext));
  const std::string trace = TraceFile(absl::StrCat(
      kAzureHeadings, "2023-11-16 18:17:03.9799600,40,5\r\n2023-11-16 18:17:04.0000000,800,200\r\n",
      "2023-11-16 18:17:04.0100000,30,1\r\n"));
  const auto figures = Run({trace, "--slo_ttft_ms=1e9", "--slo_tpot_ms=1e9"});
  ExpectCompleted(figures, 3, 40 + 410 + 30, 5 + 102 + 1);
  EXPECT_EQ(figures.value("cut", -1), 1);
  EXPECT_EQ(figures.value("max_request_tokens", -1), kTestContext);
  for (const char* latency : {"client_wait_ms", "ttft_ms", "tpot_ms", "e2e_ms"}) {
    for (const char* rank : {"p50", "p90", "p99"}) {
      ASSERT_TRUE(figures.at(latency).at(rank).is_number()) << latency << " " << figures;
    }
  }
  EXPECT_GT(figures.at("ttft_ms").at("p50"), 0);
  EXPECT_GE(figures.at("e2e_ms").at("p99"), figures.at("ttft_ms").at("p99"));
  EXPECT_EQ(figures.value("slo_met", -1), 3) << "all meet so patient an SLO";
  EXPECT_GT(figures.at("goodput_requests_per_second"), 0);
  EXPECT_THAT(process_->Log(),
              AllOf(HasSubstr("p99"), HasSubstr("goodput"), HasSubstr("were cut")));
}

TEST_F(ReplayE2eTest, PromptsOfMooncakeHitOnThePrefixesThatTheirHashesShare) {
  ASSERT_NO_FATAL_FAILURE(StartServer(kTestContext));
  const auto line = [](int64_t tokens, const std::string& ids) {
    return absl::StrCat("{\"timestamp\": 0, \"input_length\": ", tokens,
                        ", \"output_length\": 80, \"hash_ids\": [", ids, "]}\n");
  };
  const std::string trace = TraceFile(line(1636, "0, 1, 2, 3") + line(2048, "0, 1, 2, 4") +
                                      line(1024, "0, 5") + line(600, "6, 7"));
  // A block has 64 tokens. One after the other, so that each can hit on those before it.
  const std::vector<std::string> flags = {trace, "--length_scale=0.125", "--concurrency_max=1",
                                          "--seed=1"};
  const auto figures = Run(flags);
  ExpectCompleted(figures, 4, 204 + 256 + 128 + 75, 4 * 10);
  EXPECT_EQ(figures.value("cached_tokens", -1), 3 * 64 + 64);
  EXPECT_NEAR(figures.value("prefix_hit_share", -1.0), 256.0 / 663, 1e-9);
  for (const char* seed : {"--seed=2", "--seed=0", "--seed=0"}) {
    EXPECT_EQ(Run({trace, "--length_scale=0.125", "--concurrency_max=1", seed})
                  .value("cached_tokens", -1),
              256)
        << seed << ": nothing but its own";
  }
  EXPECT_EQ(Run(flags).value("cached_tokens", -1), 3 * 64 + 3 * 64 + 64 + 64)
      << "the same again hits on all that its last tokens leave";
}

TEST_F(ReplayE2eTest, WhatAFullServerRefusesIsCountedAndSoIsWhatIsTriedAgain) {
  ASSERT_NO_FATAL_FAILURE(
      StartServer(kLongContext, {"--running_max=1", "--waiting_max=1", "--record=off"}));
  LongCalls full = FillServer();
  const std::string trace = TraceFile("prompt,answer\n10,2\n10,2\n10,2\n");
  Start({trace, "--rate=1000", "--retries_max=0"});
  auto figures = Figures(/*exit_code=*/1);
  EXPECT_EQ(figures.value("failed", -1), 3) << figures;
  EXPECT_EQ(figures.value("completed", -1), 0);
  EXPECT_EQ(figures.value("retries", -1), 0);
  EXPECT_EQ(figures.at("failures").at("RESOURCE_EXHAUSTED").at("count"), 3);
  EXPECT_TRUE(figures.at("ttft_ms").at("p50").is_null());
  EXPECT_THAT(process_->Log(),
              AllOf(HasSubstr("failed, RESOURCE_EXHAUSTED"), HasSubstr("the queue is full"),
                    HasSubstr("no request was completed")));

  Start({trace, "--rate=1000", "--requests=1", "--retries_max=1"});
  figures = Figures(/*exit_code=*/1);
  EXPECT_EQ(figures.value("failed", -1), 1) << figures;
  EXPECT_EQ(figures.value("retries", -1), 1);

  EXPECT_OK(daemons_->client().Abort(full.ids));
  for (auto& call : full.ended) EXPECT_EQ(call.get().code(), absl::StatusCode::kCancelled);
  ExpectCompleted(Run({trace, "--rate=1000", "--concurrency_max=1"}), 3, 30, 6);
}

TEST_F(ReplayE2eTest, EachRequestNamesTheSession) {
  ASSERT_NO_FATAL_FAILURE(StartServer(kTestContext));
  const std::string trace = TraceFile("prompt,answer\n10,2\n");
  ExpectCompleted(Run({trace, "--session_id=replay"}), 1, 10, 2);
  Start({trace, "--session_id=" + std::string(200, 'x')});
  const auto figures = Figures(/*exit_code=*/1);
  EXPECT_EQ(figures.at("failures").at("INVALID_ARGUMENT").at("count"), 1);
  EXPECT_THAT(process_->Log(), HasSubstr("session_id"));
}

TEST_F(ReplayE2eTest, InterruptedItEndsWhatIsInFlightAndPrintsWhatWasMeasured) {
  ASSERT_NO_FATAL_FAILURE(StartServer(kLongContext, {"--record=off"}));
  const std::string trace =
      TraceFile(absl::StrCat(kAzureHeadings, "2023-11-16 18:17:03,10,2\r\n2023-11-16 18:17:03,10,",
                             kLongAnswer, "\r\n2023-11-16 20:17:03,10,2\r\n"));
  ASSERT_NO_FATAL_FAILURE(Start({trace}));
  ASSERT_OK(daemons_->WaitFor("the first one to end", [this] {
    return absl::StrContains(process_->Log(), "1 of 3 ended, 1 in flight");
  }));
  process_->Signal(SIGINT);
  const auto figures = Figures(/*exit_code=*/128 + SIGINT);
  EXPECT_EQ(figures.value("completed", -1), 1) << figures;
  EXPECT_EQ(figures.value("failed", -1), 0) << figures;
  EXPECT_EQ(figures.value("unfinished", -1), 2);
  EXPECT_EQ(figures.value("answer_tokens", -1), 2);
  EXPECT_THAT(process_->Log(), HasSubstr("until stopped"));
  EXPECT_OK(daemons_->WaitUntilNothingIsHeld());
}

TEST_F(ReplayE2eTest, MoreRequestsThanAConnectionCarriesAreInFlightAtOnce) {
  constexpr int64_t kRequests = 130;  // The server lets 100 run on one.
  ASSERT_NO_FATAL_FAILURE(StartServer(kLongContext, {"--running_max=1", "--record=off"}));
  std::string trace = "prompt,answer\n";
  for (int i = 0; i < kRequests; ++i) absl::StrAppend(&trace, "10,", kLongAnswer, "\n");
  ASSERT_NO_FATAL_FAILURE(Start({TraceFile(trace), "--rate=1000"}));
  ASSERT_OK(daemons_->WaitFor("all to be with the server", [&] {
    const auto load = daemons_->client().GetLoad();
    return load.ok() && load->requests_running() + load->requests_waiting() == kRequests;
  }));
  process_->Signal(SIGINT);
  const auto figures = Figures(/*exit_code=*/128 + SIGINT);
  EXPECT_EQ(figures.value("failed", -1), 0) << figures;
  EXPECT_EQ(figures.value("unfinished", -1), kRequests);
  EXPECT_OK(daemons_->WaitUntilNothingIsHeld());
}

TEST_F(ReplayE2eTest, InterruptedItSaysSoWhetherOrNotTheServerAnswers) {
  ASSERT_NO_FATAL_FAILURE(StartServer(kLongContext, {"--record=off"}));
  const std::string trace = TraceFile(absl::StrCat("prompt,answer\n10,", kLongAnswer, "\n"));
  ASSERT_NO_FATAL_FAILURE(Start({trace, "--rate=1000"}));
  ASSERT_OK(daemons_->WaitFor("its request to run", [this] {
    return absl::StrContains(process_->Log(), "0 of 1 ended, 1 in flight");
  }));
  daemons_->server().Signal(SIGSTOP);
  process_->Signal(SIGINT);
  EXPECT_OK(daemons_->WaitFor("its answer to the signal", [this] {
    return absl::StrContains(process_->Log(), "stopping; once more ends it at once\n");
  }));
  daemons_->server().Signal(SIGCONT);
  EXPECT_EQ(Figures(/*exit_code=*/128 + SIGINT).value("unfinished", -1), 1);
}

TEST_F(ReplayE2eTest, InterruptedItTriesNothingAgainAndCountsNoFailure) {
  ASSERT_NO_FATAL_FAILURE(
      StartServer(kLongContext, {"--running_max=1", "--waiting_max=1", "--record=off"}));
  const LongCalls full = FillServer();
  const std::string trace = TraceFile("prompt,answer\n10,2\n10,2\n10,2\n");
  ASSERT_NO_FATAL_FAILURE(Start({trace, "--rate=1000", "--retries_max=1000"}));
  ASSERT_OK(daemons_->WaitFor("them to be refused", [this] {
    return absl::StrContains(process_->Log(), "0 of 3 ended, 3 in flight");
  }));
  process_->Signal(SIGINT);
  const auto figures = Figures(/*exit_code=*/128 + SIGINT);
  EXPECT_EQ(figures.value("failed", -1), 0) << figures;
  EXPECT_EQ(figures.value("unfinished", -1), 3);
  EXPECT_LT(figures.value("retries", -1), 1000) << "those of the time before";
  EXPECT_OK(daemons_->client().Abort(full.ids));
}

TEST_F(ReplayE2eTest, WhatIsMissingOrOutOfRangeIsNamed) {
  EXPECT_THAT(Refusal({"--trace=mooncake"}),
              AllOf(HasSubstr("--trace=mooncake"), HasSubstr("ALCHEMIST_DATA is not set")));
  EXPECT_THAT(Refusal({}), HasSubstr("--trace: is missing"));
  EXPECT_THAT(Refusal({"--trace=/none"}), HasSubstr("/none"));
  const std::string trace = TraceFile(absl::StrCat(kAzureHeadings, "2023-11-16 18:17:03,1,1\n"));
  EXPECT_THAT(Refusal({trace, "--rate=2"}), HasSubstr("--rate"));
  EXPECT_THAT(Refusal({trace, "--speedup=0"}), HasSubstr("--speedup: 0 is not in ["));
  EXPECT_THAT(Refusal({trace, "--length_scale=nan"}), HasSubstr("--length_scale: nan"));
  EXPECT_THAT(Refusal({trace, "--concurrency_max=1025"}), HasSubstr("--concurrency_max"));
  EXPECT_THAT(Refusal({trace, "--timeout_seconds=0"}), HasSubstr("--timeout_seconds"));
  EXPECT_THAT(Refusal({trace, "--retries_max=0"}), HasSubstr("--server=127.0.0.1:1"));
}

}  // namespace
}  // namespace alchemist
