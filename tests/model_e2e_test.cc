// What the running server says of its model and of itself is what it does: tokens are those that it
// runs, limits those that it enforces, and its load is there while there is one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kLongContext = 1 << 15;
constexpr int64_t kLongAnswer = 30'000;  // None ends by itself in the time of a test.

void ExpectInvalid(const absl::Status& status, const std::string& field) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(field));
}

class ModelE2eTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, ModelDirectory(), DType::kF32, kLongContext));
    daemons_ = new TestDaemons(ModelDirectory());
    ASSERT_OK(daemons_->StartServer({.flags = {"--running_max=1", "--waiting_max=3"}}));
  }
  static void TearDownTestSuite() {
    ASSERT_OK(daemons_->StopServer());
    delete daemons_;
  }
  void TearDown() override { EXPECT_OK(daemons_->WaitUntilNothingIsHeld()); }

  static std::string ModelDirectory() { return ::testing::TempDir() + "/tiny-qwen2"; }
  static AlchemistClient& client() { return daemons_->client(); }

  static TestDaemons* daemons_;
};

TestDaemons* ModelE2eTest::daemons_ = nullptr;

TEST_F(ModelE2eTest, TokensAreThoseThatCompleteRuns) {
  for (const std::string text : {"Once upon a time", "na\u00efve \u2013 \U0001F600\n"}) {
    const auto tokens = client().Tokenize(text);
    ASSERT_OK(tokens);
    const auto of_text = client().Complete(GreedyRequest(text, 8));
    ASSERT_OK(of_text);
    EXPECT_EQ(of_text->final.usage().prompt_tokens(), static_cast<int64_t>(tokens->size()));
    const auto of_tokens = client().Complete(GreedyRequest(*tokens, 8));
    ASSERT_OK(of_tokens);
    EXPECT_EQ(of_tokens->token_ids, of_text->token_ids);
    const auto back = client().Detokenize(*tokens);
    ASSERT_OK(back);
    EXPECT_EQ(*back, text);
  }
}

// Random weights write bytes that are no UTF-8.
TEST_F(ModelE2eTest, TheTextOfAnAnswersTokensIsItsText) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    v1::CompleteRequest request = GreedyRequest("abc", 100);
    request.set_temperature(1);
    request.set_seed(seed);
    const auto answer = client().Complete(request);
    ASSERT_OK(answer);
    const auto text = client().Detokenize(answer->token_ids);
    ASSERT_OK(text);
    EXPECT_EQ(*text, answer->text);
  }
}

TEST_F(ModelE2eTest, LimitsOfTextAndTokensAreNamed) {
  ExpectInvalid(client().Tokenize(std::string(100 * kLongContext, 'x')).status(), "text: ");
  const std::vector<int32_t> most(kLongContext, 5);
  EXPECT_OK(client().Detokenize(most));
  std::vector<int32_t> more = most;
  more.push_back(5);
  ExpectInvalid(client().Detokenize(more).status(),
                absl::StrCat("tokens: ", more.size(), " of them, the limit is ", kLongContext));
  for (const int32_t token : {-1, static_cast<int32_t>(kTestVocab)}) {
    ExpectInvalid(client().Detokenize({token}).status(),
                  absl::StrCat("tokens: ", token, " is not in [0, ", kTestVocab, ")"));
  }
}

TEST_F(ModelE2eTest, TheModelIsTheOneThatServes) {
  const auto info = client().GetModelInfo();
  ASSERT_OK(info);
  const auto status = client().GetStatus();
  ASSERT_OK(status);
  EXPECT_EQ(info->base().base_digest(), status->base().base_digest());
  EXPECT_EQ(info->base().tokenizer_digest(), status->base().tokenizer_digest());
  EXPECT_EQ(info->base().base_digest().size(), 64u);
  EXPECT_EQ(info->served_model_name(), "tiny-qwen2");
  EXPECT_EQ(info->model_type(), "qwen2");
  EXPECT_EQ(info->vocab_size(), kTestVocab);
  EXPECT_EQ(info->max_context_length(), kLongContext);
  EXPECT_EQ(info->max_request_tokens(), kLongContext) << "the K/V pages hold more";
  EXPECT_EQ(info->dtype(), "f32");
  EXPECT_THAT(info->eos_token_ids(), ElementsAre(0));
  EXPECT_EQ(info->layers(), 3);
  ASSERT_EQ(info->adapters_size(), 1);
  EXPECT_EQ(info->adapters(0).adapter_id(), "default");
  EXPECT_EQ(info->adapters(0).revision().SerializeAsString(),
            status->revision().SerializeAsString());
}

TEST_F(ModelE2eTest, TheLoadIsThereWhileThereIsOne) {
  const auto idle = client().GetLoad();
  ASSERT_OK(idle);
  EXPECT_EQ(idle->requests_running(), 0);
  EXPECT_EQ(idle->requests_waiting(), 0);
  EXPECT_EQ(idle->running_max(), 1);
  EXPECT_EQ(idle->waiting_max(), 3);
  EXPECT_EQ(idle->kv_cache_usage(), 0);
  const std::string text(100, 'x');
  std::vector<std::future<absl::Status>> calls;
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {  // One that runs, and two that wait.
    std::promise<std::string> started;
    std::future<std::string> id = started.get_future();
    calls.push_back(std::async(std::launch::async, [&text, started = std::move(started)]() mutable {
      const auto on_started = [&](const std::string& id) { started.set_value(id); };
      return client().Complete(GreedyRequest(text, kLongAnswer), nullptr, on_started).status();
    }));
    ids.push_back(id.get());
  }
  EXPECT_OK(daemons_->WaitFor("its K/V pages", [&] {
    const auto load = client().GetLoad();
    return load.ok() && load->requests_running() == 1 && load->requests_waiting() == 2 &&
           load->kv_cache_usage() > 0;
  }));
  const auto busy = client().GetLoad();
  ASSERT_OK(busy);
  EXPECT_LE(busy->kv_cache_usage(), 1);
  EXPECT_EQ(busy->prompt_tokens(), idle->prompt_tokens() + 100) << "of the one that runs";
  EXPECT_EQ(busy->prefix_tokens(), idle->prefix_tokens());
  EXPECT_OK(client().Abort(ids));
  for (auto& call : calls) EXPECT_EQ(call.get().code(), absl::StatusCode::kCancelled);
  EXPECT_OK(client().Complete(GreedyRequest(text, 1)));
  const auto after = client().GetLoad();
  ASSERT_OK(after);
  EXPECT_EQ(after->requests_running(), 0);
  EXPECT_EQ(after->kv_cache_usage(), 0);
  EXPECT_EQ(after->prefix_tokens(), idle->prefix_tokens() + 64) << "a hash block was recorded";
}

// K/V pages for less than the context: what a request may have is what Complete takes.
TEST(ModelLimitE2eTest, ARequestMayHaveWhatTheKvPagesHold) {
  const std::string model = ::testing::TempDir() + "/small";
  ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, model));
  TestDaemons daemons(model);
  ASSERT_OK(daemons.StartServer({.flags = {"--serving_kv_bytes=131072"}}));
  const auto info = daemons.client().GetModelInfo();
  ASSERT_OK(info);
  const int64_t tokens_max = info->max_request_tokens();
  EXPECT_EQ(info->max_context_length(), kTestContext);
  EXPECT_LT(tokens_max, kTestContext);
  EXPECT_OK(daemons.client().Complete(GreedyRequest(TestPrompt(tokens_max - 1, 1), 1)));
  const absl::Status status =
      daemons.client().Complete(GreedyRequest(TestPrompt(tokens_max, 1), 1)).status();
  ExpectInvalid(status, absl::StrCat("prompt: ", tokens_max, " tokens"));
  EXPECT_OK(daemons.StopServer());
}

}  // namespace
}  // namespace alchemist
