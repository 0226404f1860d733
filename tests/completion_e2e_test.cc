// What a client can rely on when it asks the running server: sampling, limits, errors that name
// their field, cancellation, and a server that lives through all of it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <future>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/assert_ok.h"
#include "tests/raw_call.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"
#include "tools/daemons/process.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class CompletionE2eTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, ModelDirectory()));
    daemons_ = new TestDaemons(ModelDirectory());
    ASSERT_OK(daemons_->StartServer({.flags = {"--waiting_max=20", "--running_max=4"}}));
  }
  static void TearDownTestSuite() {
    ASSERT_OK(daemons_->StopServer());
    delete daemons_;
  }
  // Whatever a test sent, the server lives and holds nothing of it.
  void TearDown() override { EXPECT_OK(daemons_->WaitUntilNothingIsHeld()); }

  static std::string ModelDirectory() { return ::testing::TempDir() + "/model"; }
  static AlchemistClient& client() { return daemons_->client(); }

  static void ExpectInvalid(const v1::CompleteRequest& request, const std::string& field) {
    const absl::Status status = client().Complete(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
  }

  static TestDaemons* daemons_;
};

TestDaemons* CompletionE2eTest::daemons_ = nullptr;

TEST_F(CompletionE2eTest, AnAnswerSaysWhatMadeIt) {
  v1::CompleteRequest request = GreedyRequest("Once upon", 10);
  request.set_logprobs(true);
  const auto answer = client().Complete(request);
  ASSERT_OK(answer);
  EXPECT_EQ(answer->final.usage().prompt_tokens(), 9);
  EXPECT_EQ(answer->final.usage().completion_tokens(),
            static_cast<int64_t>(answer->token_ids.size()));
  ASSERT_EQ(answer->log_probs.size(), answer->token_ids.size());
  for (const float log_prob : answer->log_probs) EXPECT_LT(log_prob, 0);
  EXPECT_FALSE(answer->final.completion_id().empty());
  EXPECT_EQ(answer->final.revision().adapter_id(), "default");
  EXPECT_EQ(answer->final.revision().digest().size(), 64u);
  const bool full = answer->token_ids.size() == 10;
  EXPECT_EQ(answer->final.finish_reason(), full ? v1::FINISH_REASON_LENGTH : v1::FINISH_REASON_EOS);
}

TEST_F(CompletionE2eTest, ASeedGivesTheSameSampleAndAnotherSeedAnother) {
  v1::CompleteRequest request = GreedyRequest("abc", 30);
  request.set_temperature(1.5);
  request.set_seed(7);
  const auto first = client().Complete(request);
  ASSERT_OK(first);
  EXPECT_EQ(client().Complete(request)->token_ids, first->token_ids);
  request.set_seed(8);
  EXPECT_NE(client().Complete(request)->token_ids, first->token_ids);
}

TEST_F(CompletionE2eTest, TopKOfOneIsGreedy) {
  v1::CompleteRequest request = GreedyRequest("abc", 20);
  const auto greedy = client().Complete(request);
  ASSERT_OK(greedy);
  request.set_temperature(2);
  request.set_top_k(1);
  EXPECT_EQ(client().Complete(request)->token_ids, greedy->token_ids);
  request.clear_top_k();
  request.set_top_p(1e-9);
  EXPECT_EQ(client().Complete(request)->token_ids, greedy->token_ids);
}

TEST_F(CompletionE2eTest, AStopStringEndsTheAnswerAndIsNoPartOfIt) {
  v1::CompleteRequest request = GreedyRequest("stop", 60);
  request.set_temperature(1);
  request.set_seed(3);
  const auto whole = client().Complete(request);
  ASSERT_OK(whole);
  ASSERT_GT(whole->text.size(), 4u);
  // Some character from the middle of the answer, with what follows it.
  size_t begin = whole->text.size() / 2;
  while (begin > 0 && (whole->text[begin] & 0xC0) == 0x80) --begin;
  size_t end = begin + 1;
  while (end < whole->text.size() && (whole->text[end] & 0xC0) == 0x80) ++end;
  const std::string stop = whole->text.substr(begin, end - begin);
  request.add_stop(stop);
  const auto stopped = client().Complete(request);
  ASSERT_OK(stopped);
  EXPECT_EQ(stopped->final.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(stopped->text, whole->text.substr(0, whole->text.find(stop)));
}

TEST_F(CompletionE2eTest, LimitsAreNamed) {
  ExpectInvalid(GreedyRequest("abc", 0), "max_tokens");
  ExpectInvalid(GreedyRequest("abc", -5), "max_tokens");
  ExpectInvalid(GreedyRequest(TestPrompt(kTestContext, 1), 1), "prompt");
  ExpectInvalid(GreedyRequest(std::string(5 * kTestContext, 'x'), 1), "prompt");
  ExpectInvalid(GreedyRequest(std::vector<int32_t>(), 1), "prompt");
  ExpectInvalid(v1::CompleteRequest(), "prompt");
  ExpectInvalid(GreedyRequest(std::vector<int32_t>{1, -1}, 1), "tokens");
  ExpectInvalid(GreedyRequest(std::vector<int32_t>{static_cast<int32_t>(kTestVocab)}, 1), "tokens");
  v1::CompleteRequest request = GreedyRequest("abc", 1);
  for (const double bad : {-1.0, 101.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    request.set_temperature(bad);
    ExpectInvalid(request, "temperature");
  }
  request = GreedyRequest("abc", 1);
  for (const double bad : {0.0, -0.5, 1.5, std::nan("")}) {
    request.set_top_p(bad);
    ExpectInvalid(request, "top_p");
  }
  request = GreedyRequest("abc", 1);
  for (const int64_t bad : {int64_t{-1}, kTestVocab + 1, std::numeric_limits<int64_t>::max()}) {
    request.set_top_k(bad);
    ExpectInvalid(request, "top_k");
  }
  request = GreedyRequest("abc", 1);
  request.add_stop("");
  ExpectInvalid(request, "stop");
  request.set_stop(0, std::string(100'000, 's'));
  ExpectInvalid(request, "stop");
  request.clear_stop();
  for (int i = 0; i < 1000; ++i) request.add_stop("x");
  ExpectInvalid(request, "stop");
  request = GreedyRequest("abc", 1);
  request.set_session_id(std::string(10'000, 's'));
  ExpectInvalid(request, "session_id");
}

TEST_F(CompletionE2eTest, AHugeMaxTokensIsCutToTheContext) {
  v1::CompleteRequest request =
      GreedyRequest(TestPrompt(kTestContext - 5, 1), std::numeric_limits<int64_t>::max());
  const auto answer = client().Complete(request);
  ASSERT_OK(answer);
  EXPECT_LE(answer->token_ids.size(), 5u);
}

TEST_F(CompletionE2eTest, AnUnknownAdapterIsNotFound) {
  v1::CompleteRequest request = GreedyRequest("abc", 1);
  request.set_adapter_id("another");
  const absl::Status status = client().Complete(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("adapter_id"));
  EXPECT_EQ(client().Rollback(77).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(client().Inspect("secrets").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CompletionE2eTest, AnOversizeMessageIsRefused) {
  const absl::Status status =
      client().Complete(GreedyRequest(std::string(5 << 20, 'x'), 1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST_F(CompletionE2eTest, CompanyChangesNoAnswer) {
  std::vector<v1::CompleteRequest> requests;
  std::vector<std::vector<int32_t>> alone;
  for (uint64_t i = 0; i < 8; ++i) {
    requests.push_back(GreedyRequest(TestPrompt(20 + 23 * static_cast<int64_t>(i), i), 24));
    const auto answer = client().Complete(requests.back());
    ASSERT_OK(answer);
    alone.push_back(answer->token_ids);
  }
  std::vector<std::vector<int32_t>> together(requests.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < requests.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto answer = client().Complete(requests[i]);
      EXPECT_OK(answer);
      if (answer.ok()) together[i] = answer->token_ids;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
}

// Answers so long that none ends by itself in the time of the test, and K/V pages for one of them.
TEST(CancelledCompletionE2eTest, ACancelledCallFreesItsPlace) {
  constexpr int64_t kLongAnswer = 30'000;
  const std::string model = ::testing::TempDir() + "/long_model";
  ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, model, DType::kF32, /*context=*/1 << 15));
  TestDaemons daemons(model);
  ASSERT_OK(daemons.StartServer());
  for (int i = 0; i < 3; ++i) {
    // Its first token comes when the one before has made room.
    const auto answer = daemons.client().Complete(GreedyRequest("cancel", kLongAnswer),
                                                  [](const v1::CompletionChunk&) { return false; });
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled) << answer.status();
  }
  EXPECT_OK(daemons.WaitFor(
      "the cancelled call to let go",
      [&] {
        const auto status = daemons.client().GetStatus();
        return status.ok() && status->requests_running() == 0 &&
               status->serving_kv_bytes_used() == 0;
      },
      /*timeout_us=*/3'000'000));
  EXPECT_OK(daemons.client().Complete(GreedyRequest("after", 4)));
  EXPECT_OK(daemons.StopServer());
}

// protobuf refuses a string field that is no UTF-8 when the message is parsed.
TEST_F(CompletionE2eTest, InvalidUtf8IsRefused) {
  const std::string bad = "\xff\xfe";
  v1::CompleteRequest stop = GreedyRequest("text", 1);
  stop.add_stop(bad);
  for (const v1::CompleteRequest& request : {GreedyRequest(bad, 1), stop}) {
    ExpectInvalid(request, "UTF-8");
  }
  const auto answer = client().Complete(GreedyRequest("text", 1));
  ASSERT_OK(answer);
  const std::string id = answer->final.completion_id();
  const size_t before = client().ListFeedback()->size();
  for (const v1::SubmitFeedbackRequest& request :
       {CorrectionOf(id, "key", bad), CorrectionOf(id, bad, "right"), RatingOf(bad, "key", 1)}) {
    EXPECT_EQ(client().SubmitFeedback(request).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(client().ListFeedback()->size(), before);
}

// SIGTERM: not ready any more, nothing new, and what runs goes on; a second one ends that too.
TEST(DrainE2eTest, RunningRequestsGoOnUntilASecondSignal) {
  const std::string model = ::testing::TempDir() + "/drain_model";
  ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, model, DType::kF32, /*context=*/1 << 15));
  TestDaemons daemons(model);
  ASSERT_OK(daemons.StartServer({.flags = {"--drain_timeout_seconds=600"}}));
  const std::string address = absl::StrCat("127.0.0.1:", daemons.port());
  std::promise<void> begun;
  std::atomic<int64_t> chunks{0};
  auto call = std::async(std::launch::async, [&] {
    return AlchemistClient::Create(address)
        ->Complete(GreedyRequest("long", 30'000),
                   [&](const v1::CompletionChunk&) {
                     if (chunks++ == 0) begun.set_value();
                     return true;
                   })
        .status();
  });
  begun.get_future().wait();
  daemons.server().Signal(SIGTERM);
  EXPECT_OK(daemons.WaitFor("new requests to be refused", [&] {
    const absl::Status status = daemons.client().Complete(GreedyRequest("new", 1)).status();
    return status.code() == absl::StatusCode::kUnavailable;
  }));
  const auto health = RawCall(daemons.port(), "/grpc.health.v1.Health/Check", "");
  ASSERT_OK(health);
  EXPECT_THAT(*health, ElementsAre("\x08\x02")) << "status: NOT_SERVING";
  const int64_t before = chunks;
  EXPECT_OK(daemons.WaitFor("the running request to go on", [&] { return chunks > before; }));
  EXPECT_TRUE(daemons.server().running());
  daemons.server().Signal(SIGTERM);
  EXPECT_TRUE(daemons.server().WaitForExit(/*timeout_us=*/10'000'000)) << daemons.Logs();
  EXPECT_TRUE(daemons.server().exited_with(0)) << daemons.Logs();
  EXPECT_FALSE(call.get().ok());
}

TEST_F(CompletionE2eTest, HealthSaysServing) {
  const auto response = RawCall(daemons_->port(), "/grpc.health.v1.Health/Check", "");
  ASSERT_OK(response);
  EXPECT_THAT(*response, ElementsAre("\x08\x01")) << "status: SERVING";
}

TEST_F(CompletionE2eTest, ReflectionListsTheServices) {
  const auto services = ListServices(daemons_->port());
  ASSERT_OK(services);
  // The link is for the trainer, on its own socket.
  EXPECT_THAT(*services, UnorderedElementsAre(
                             "alchemist.v1.CompletionService", "alchemist.v1.FeedbackService",
                             "alchemist.v1.AdminService", "alchemist.v1.ModelService",
                             "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"));
}

// Starts that must fail (or check) and say why.
class StartupE2eTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "/broken";
    std::filesystem::remove_all(directory_);
    ASSERT_OK(WriteTestModel(ModelFamily::kLlama, directory_));
  }

  // The output of a server that ends by itself, with `code`.
  std::string OutputOf(int code, std::vector<std::string> flags = {}) {
    TestDaemons daemons(directory_);
    EXPECT_OK(daemons.SpawnServer({.flags = std::move(flags)}));
    EXPECT_TRUE(daemons.server().WaitForExit(TestDaemons::kDeadlineUs));
    const std::string log = daemons.server().Log();
    EXPECT_TRUE(daemons.server().exited_with(code)) << log;
    return log;
  }

  // Replaces `what` in a file of the model.
  void Edit(const std::string& file, const std::string& what, const std::string& with) {
    const std::string path = directory_ + "/" + file;
    absl::StatusOr<std::string> text = ReadFile(path, 64 << 20);
    ASSERT_OK(text);
    const size_t at = text->find(what);
    ASSERT_NE(at, std::string::npos) << *text;
    text->replace(at, what.size(), with);
    ASSERT_OK(ReplaceFile(path, *text));
  }

  std::string directory_;
};

TEST_F(StartupE2eTest, CheckConfigSaysThatAllIsWell) {
  EXPECT_THAT(OutputOf(0, {"--check_config"}), HasSubstr("fine"));
}

TEST_F(StartupE2eTest, BadFlagsAreNamed) {
  EXPECT_THAT(OutputOf(1, {"--no_such_flag=1"}), HasSubstr("no_such_flag"));
  EXPECT_THAT(OutputOf(1, {"--rows_per_step=0"}), HasSubstr("rows_per_step"));
  EXPECT_THAT(OutputOf(1, {"--record=everything"}), HasSubstr("--record"));
  EXPECT_THAT(OutputOf(1, {"--dtype=f16"}), HasSubstr("--dtype"));
  EXPECT_THAT(OutputOf(1, {"--listen_address=0.0.0.0:0"}), HasSubstr("--listen_address"));
  EXPECT_THAT(OutputOf(1, {"--adapter_targets=lm_head"}), HasSubstr("--adapter_targets"));
  EXPECT_THAT(OutputOf(1, {"--serving_kv_bytes=999999999999"}), HasSubstr("serving_kv_bytes"));
  EXPECT_THAT(OutputOf(1, {"--check_config", "--device_bytes=1000"}),
              HasSubstr("--serving_kv_bytes: must be above 0 and below --device_bytes, 1000"));
}

TEST_F(StartupE2eTest, AMalformedConfigNamesFileAndField) {
  Edit("config.json", "\"hidden_size\": 40", "\"hidden_size\": -40");
  const std::string log = OutputOf(1);
  EXPECT_THAT(log, HasSubstr("config.json"));
  EXPECT_THAT(log, HasSubstr("hidden_size"));
}

TEST_F(StartupE2eTest, AnUnsupportedModelIsNamed) {
  Edit("config.json", "LlamaForCausalLM", "MambaForCausalLM");
  const std::string log = OutputOf(1, {"--check_config"});
  EXPECT_THAT(log, HasSubstr("config.json"));
  EXPECT_THAT(log, HasSubstr("architectures"));
}

TEST_F(StartupE2eTest, TruncatedWeightsAreNamed) {
  const std::string weights = directory_ + "/model.safetensors";
  std::filesystem::resize_file(weights, std::filesystem::file_size(weights) - 1);
  EXPECT_THAT(OutputOf(1), HasSubstr("model.safetensors"));
  std::filesystem::resize_file(weights, 4);
  EXPECT_THAT(OutputOf(1), HasSubstr("model.safetensors"));
  std::filesystem::remove(weights);
  EXPECT_THAT(OutputOf(1), HasSubstr("model.safetensors"));
}

TEST_F(StartupE2eTest, ABrokenTokenizerIsNamed) {
  Edit("tokenizer.json", "\"BPE\"", "\"WordPiece\"");
  EXPECT_THAT(OutputOf(1), HasSubstr("tokenizer.json"));
  ASSERT_OK(ReplaceFile(directory_ + "/tokenizer.json", "{\"version\": "));
  EXPECT_THAT(OutputOf(1), HasSubstr("tokenizer.json"));
}

TEST_F(StartupE2eTest, TheTrainerRefusesBadFlagsToo) {
  const auto output = [&](std::vector<std::string> flags) {
    Process::Options options;
    options.command = {ProgramPath("trainer/alchemist-trainer")};
    options.command.insert(options.command.end(), flags.begin(), flags.end());
    options.log_path = absl::StrCat(directory_, "/", flags[0].substr(2, 8), ".log");
    auto process = Process::Start(std::move(options));
    EXPECT_OK(process);
    EXPECT_TRUE((*process)->WaitForExit(TestDaemons::kDeadlineUs));
    EXPECT_TRUE((*process)->exited_with(1)) << (*process)->Log();
    return (*process)->Log();
  };
  EXPECT_THAT(output({"--passes=0", "--checkpoint_dir=" + directory_}), HasSubstr("--passes"));
  EXPECT_THAT(output({"--replay_items=257", "--checkpoint_dir=" + directory_}),
              HasSubstr("--replay_items: must be at most 256"));
  EXPECT_THAT(output({"--weight_decay=-1", "--checkpoint_dir=" + directory_}),
              HasSubstr("--weight_decay: must not be negative"));
  EXPECT_THAT(output({"--runtime_dir=" + directory_}), HasSubstr("--checkpoint_dir"));
  EXPECT_THAT(output({"--offline_items=none.jsonl"}), HasSubstr("--model"));
}

// A disk of 4 MiB below the server's data, in a mount namespace of its own.
std::vector<std::string> WithSmallDisk(const std::string& directory) {
  std::vector<std::string> command = {"/usr/bin/unshare", "--mount"};
  if (geteuid() != 0) command.insert(command.end(), {"--user", "--map-root-user"});
  const std::string script =
      absl::StrCat("mount -t tmpfs -o size=4m tmpfs ", directory, " && exec \"$@\"");
  command.insert(command.end(), {"/bin/sh", "-c", script, "sh"});
  return command;
}

// Writes `path` until the disk is full.
void FillDisk(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.valid()) << path;
  const std::string piece(4096, 'x');
  while (write(file.get(), piece.data(), piece.size()) > 0) continue;
  ASSERT_EQ(errno, ENOSPC);
}

TEST_F(StartupE2eTest, OnAFullDiskFeedbackIsRefusedAndServingGoesOn) {
  TestDaemons daemons(directory_);
  const std::string data = daemons.directory() + "/data";
  ASSERT_EQ(mkdir(data.c_str(), 0700), 0);
  const std::vector<std::string> wrapper = WithSmallDisk(data);
  std::vector<std::string> probe = wrapper;
  probe.push_back("/bin/true");
  auto mounted = Process::Start({probe, {}, daemons.directory() + "/probe.log"});
  ASSERT_OK(mounted);
  ASSERT_TRUE((*mounted)->WaitForExit(TestDaemons::kDeadlineUs));
  if (!(*mounted)->exited_with(0)) GTEST_SKIP() << "no mount namespace: " << (*mounted)->Log();

  ASSERT_OK(daemons.StartServer({.flags = {}, .kill_point = "", .wrapper = wrapper}));
  const auto answer = daemons.client().Complete(GreedyRequest("abc", 4));
  ASSERT_OK(answer);
  const std::string completion = answer->final.completion_id();
  const auto submit = [&](const std::string& key) {
    return daemons.client().SubmitFeedback(CorrectionOf(completion, key, "right")).status();
  };
  ASSERT_OK(submit("before"));
  // Inside the server's namespace the disk is there; outside it never was.
  const std::string filler = absl::StrCat("/proc/", daemons.server().pid(), "/root", data, "/full");
  FillDisk(filler);
  // What the log's file has room for may still be written.
  absl::Status status;
  int64_t accepted = 1;
  for (; accepted < 500; ++accepted) {
    status = submit(absl::StrCat("full", accepted));
    if (!status.ok()) break;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_OK(daemons.client().Complete(GreedyRequest("abc", 4)));
  EXPECT_EQ(static_cast<int64_t>(daemons.client().ListFeedback()->size()), accepted);
  // Space returns: so does feedback.
  ASSERT_EQ(unlink(filler.c_str()), 0);
  EXPECT_OK(submit("after"));
  EXPECT_EQ(static_cast<int64_t>(daemons.client().ListFeedback()->size()), accepted + 1);
  EXPECT_OK(daemons.StopServer());
}

}  // namespace
}  // namespace alchemist
