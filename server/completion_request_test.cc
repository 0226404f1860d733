#include "server/completion_request.h"

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/tokenizer/example_tokenizers.h"
#include "server/call_metadata.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kSeed = 99;

class CompletionRequestTest : public testing::Test {
 protected:
  CompletionRequestTest() {
    auto tokenizer = Tokenizer::Parse(kLlama2Style, "t.json");
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    model_.vocab = 29;
    model_.context = 64;
  }

  absl::StatusOr<CompletionRequest> Parse(const v1::CompleteRequest& message) const {
    return ParseCompleteRequest(message, *tokenizer_, model_, tokens_max_, kSeed);
  }
  static v1::CompleteRequest Valid() {
    v1::CompleteRequest message;
    message.set_text("hello world");
    return message;
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
  ModelConfig model_;
  int64_t tokens_max_ = 1000;
};

TEST_F(CompletionRequestTest, DefaultsAreThoseOfTheProto) {
  const auto request = Parse(Valid());
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->prompt_tokens, ElementsAre(1, 22, 27)) << "with the special tokens";
  EXPECT_EQ(request->max_tokens, 61) << "256, cut to what the context leaves";
  EXPECT_EQ(request->sampling.temperature, 1.0);
  EXPECT_EQ(request->sampling.top_p, 1.0);
  EXPECT_EQ(request->sampling.top_k, 0);
  EXPECT_EQ(request->seed, kSeed);
  EXPECT_TRUE(request->stop.empty());
  EXPECT_FALSE(request->logprobs);
  EXPECT_EQ(request->priority, 0);
  EXPECT_EQ(request->choices, 1);
  EXPECT_FALSE(request->adjustments.any());
  EXPECT_EQ(request->sampling.min_p, 0);
  EXPECT_EQ(request->min_tokens, 0);
  EXPECT_FALSE(request->prompt_logprobs.has_value());
  EXPECT_FALSE(request->no_train);
  EXPECT_EQ(request->adapter_id, "");
  EXPECT_EQ(request->session_id, "");
}

TEST_F(CompletionRequestTest, ATextThatCannotFitIsRefusedBeforeItIsTokenised) {
  const int64_t bytes_max = model_.context * tokenizer_->token_bytes_max();
  v1::CompleteRequest message = Valid();
  // Not even UTF-8: that would be the tokenizer's complaint.
  message.set_text(std::string(static_cast<size_t>(bytes_max) + 1, '\xff'));
  const absl::Status status = Parse(message).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("text: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(bytes_max)));
  message.mutable_text()->pop_back();
  EXPECT_THAT(std::string(Parse(message).status().message()), HasSubstr("UTF-8"));
}

TEST_F(CompletionRequestTest, EveryFieldIsTakenOver) {
  v1::CompleteRequest message;
  message.mutable_tokens()->add_ids(28);
  message.mutable_tokens()->add_ids(0);
  message.set_adapter_id("default");
  message.set_session_id(std::string(kIdBytesMax, 's'));
  message.set_max_tokens(5);
  message.set_temperature(0);
  message.set_top_p(0.5);
  message.set_top_k(29);
  message.set_seed(0);
  message.add_stop(std::string(kStopBytesMax, 'x'));
  message.set_logprobs(true);
  message.set_priority(-7);
  message.set_n(3);
  message.set_min_p(0.25);
  message.set_presence_penalty(-1);
  message.set_frequency_penalty(0.5);
  message.set_repetition_penalty(1.25);
  (*message.mutable_logit_bias())[4] = -3;
  message.add_stop_token_ids(7);
  message.set_ignore_eos(true);
  message.set_min_tokens(5);
  message.set_top_logprobs(2);
  message.set_prompt_logprobs(0);
  message.set_no_train(true);
  const auto request = Parse(message);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->prompt_tokens, ElementsAre(28, 0)) << "as they are";
  EXPECT_EQ(request->max_tokens, 5);
  EXPECT_EQ(request->sampling.temperature, 0.0);
  EXPECT_EQ(request->sampling.top_p, 0.5);
  EXPECT_EQ(request->sampling.top_k, 29);
  EXPECT_EQ(request->seed, 0u) << "a seed of 0 is a seed";
  EXPECT_EQ(request->stop.size(), 1u);
  EXPECT_TRUE(request->logprobs);
  EXPECT_EQ(request->priority, -7);
  EXPECT_EQ(request->choices, 3);
  EXPECT_EQ(request->sampling.min_p, 0.25);
  EXPECT_EQ(request->adjustments.presence_penalty, -1);
  EXPECT_EQ(request->adjustments.frequency_penalty, 0.5);
  EXPECT_EQ(request->adjustments.repetition_penalty, 1.25);
  EXPECT_THAT(request->adjustments.bias, ElementsAre(std::pair(4, -3.0f)));
  EXPECT_THAT(request->stop_token_ids, ElementsAre(7));
  EXPECT_TRUE(request->ignore_eos);
  EXPECT_EQ(request->min_tokens, 5);
  EXPECT_EQ(request->top_logprobs, 2);
  EXPECT_EQ(request->prompt_logprobs, 0) << "0 is not unset";
  EXPECT_TRUE(request->no_train);
  EXPECT_EQ(request->session_id.size(), static_cast<size_t>(kIdBytesMax));
}

TEST_F(CompletionRequestTest, HugeMaxTokensIsCutToTheContext) {
  v1::CompleteRequest message = Valid();
  message.set_max_tokens(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Parse(message)->max_tokens, 61);
  message.mutable_tokens()->mutable_ids()->Resize(63, 3);
  EXPECT_EQ(Parse(message)->max_tokens, 1) << "the longest prompt";
}

TEST_F(CompletionRequestTest, WhatTheServerCannotHoldIsALimitAsTheContextIs) {
  tokens_max_ = 32;
  v1::CompleteRequest message = Valid();
  EXPECT_EQ(Parse(message)->max_tokens, 29);
  message.mutable_tokens()->mutable_ids()->Resize(32, 3);
  const absl::Status status = Parse(message).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("31 (what the K/V memory holds)"));
}

TEST_F(CompletionRequestTest, APromptToBeScoredHasALimit) {
  model_.context = 3 * kScoredTokensMax;
  tokens_max_ = model_.context;
  v1::CompleteRequest message;
  message.mutable_tokens()->mutable_ids()->Resize(kScoredTokensMax, 3);
  message.set_prompt_logprobs(1);
  EXPECT_TRUE(Parse(message).ok());
  message.mutable_tokens()->add_ids(3);
  const absl::Status status = Parse(message).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("prompt_logprobs"));
}

TEST_F(CompletionRequestTest, ATenantIsAShortName) {
  for (const std::string good : {"", "a", "team-1.example_X"}) {
    EXPECT_TRUE(CheckTenant(good).ok()) << good;
  }
  EXPECT_TRUE(CheckTenant(std::string(kIdBytesMax, 'a')).ok());
  for (const std::string& bad : {std::string("a b"), std::string("a/b"), std::string("\xc3\xa4"),
                                 std::string(kIdBytesMax + 1, 'a'), std::string(1, '\0')}) {
    const absl::Status status = CheckTenant(bad);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("alchemist-tenant"));
  }
}

TEST_F(CompletionRequestTest, EachErrorNamesItsFieldAndLimit) {
  struct Case {
    const char* field;
    const char* limit;
    std::function<void(v1::CompleteRequest&)> spoil;
  };
  const double nan = std::nan("");
  const Case cases[] = {
      {"prompt:", "neither", [](auto& m) { m.clear_prompt(); }},
      {"prompt:", "no tokens", [](auto& m) { m.mutable_tokens(); }},
      {"prompt:", "63", [](auto& m) { m.mutable_tokens()->mutable_ids()->Resize(64, 3); }},
      {"tokens:", "[0, 29)", [](auto& m) { m.mutable_tokens()->add_ids(29); }},
      {"tokens:", "[0, 29)", [](auto& m) { m.mutable_tokens()->add_ids(-1); }},
      {"text:", "UTF-8", [](auto& m) { m.set_text("\xff"); }},
      {"max_tokens:", "1", [](auto& m) { m.set_max_tokens(0); }},
      {"max_tokens:", "1", [](auto& m) { m.set_max_tokens(-5); }},
      {"temperature:", "[0, 100]", [](auto& m) { m.set_temperature(-0.1); }},
      {"temperature:", "[0, 100]", [](auto& m) { m.set_temperature(100.5); }},
      {"temperature:", "[0, 100]", [=](auto& m) { m.set_temperature(nan); }},
      {"top_p:", "(0, 1]", [](auto& m) { m.set_top_p(0); }},
      {"top_p:", "(0, 1]", [](auto& m) { m.set_top_p(1.01); }},
      {"top_p:", "(0, 1]", [=](auto& m) { m.set_top_p(nan); }},
      {"top_k:", "[0, 29]", [](auto& m) { m.set_top_k(-1); }},
      {"top_k:", "[0, 29]", [](auto& m) { m.set_top_k(30); }},
      {"stop:", "1 to 256", [](auto& m) { m.add_stop(""); }},
      {"stop:", "1 to 256", [](auto& m) { m.add_stop(std::string(257, 'x')); }},
      {"stop:", "16",
       [](auto& m) {
         for (int i = 0; i < 17; ++i) m.add_stop("x");
       }},
      {"min_p:", "[0, 1]", [](auto& m) { m.set_min_p(1.5); }},
      {"min_p:", "[0, 1]", [=](auto& m) { m.set_min_p(nan); }},
      {"presence_penalty:", "[-2, 2]", [](auto& m) { m.set_presence_penalty(-2.5); }},
      {"frequency_penalty:", "[-2, 2]", [=](auto& m) { m.set_frequency_penalty(nan); }},
      {"repetition_penalty:", "(0, 2]", [](auto& m) { m.set_repetition_penalty(0); }},
      {"repetition_penalty:", "(0, 2]", [](auto& m) { m.set_repetition_penalty(2.5); }},
      {"logit_bias:", "[0, 29)", [](auto& m) { (*m.mutable_logit_bias())[29] = 1; }},
      {"logit_bias:", "[-100, 100]", [](auto& m) { (*m.mutable_logit_bias())[1] = 101; }},
      {"logit_bias:", "[-100, 100]", [](auto& m) { (*m.mutable_logit_bias())[1] = std::nanf(""); }},
      {"logit_bias:", "1024",
       [](auto& m) {
         for (int i = 0; i < 1025; ++i) (*m.mutable_logit_bias())[i] = 1;
       }},
      {"stop_token_ids:", "[0, 29)", [](auto& m) { m.add_stop_token_ids(-1); }},
      {"stop_token_ids:", "64", [](auto& m) { m.mutable_stop_token_ids()->Resize(65, 1); }},
      {"min_tokens:", "[0, 61]", [](auto& m) { m.set_min_tokens(62); }},
      {"min_tokens:", "[0, 61]", [](auto& m) { m.set_min_tokens(-1); }},
      {"n:", "[1, 16]", [](auto& m) { m.set_n(0); }},
      {"n:", "[1, 16]", [](auto& m) { m.set_n(17); }},
      {"top_logprobs:", "[0, 20]", [](auto& m) { m.set_top_logprobs(21); }},
      {"prompt_logprobs:", "[0, 20]", [](auto& m) { m.set_prompt_logprobs(-1); }},
      {"adapter_id:", "128", [](auto& m) { m.set_adapter_id(std::string(129, 'a')); }},
      {"session_id:", "128", [](auto& m) { m.set_session_id(std::string(129, 'a')); }},
  };
  for (const Case& c : cases) {
    v1::CompleteRequest message = Valid();
    c.spoil(message);
    const absl::Status status = Parse(message).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.field;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.field)) << c.limit;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.limit)) << c.field;
  }
}

}  // namespace
}  // namespace alchemist
