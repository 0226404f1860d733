#include "server/token_choice.h"

#include <cmath>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

using Tokens = std::vector<int32_t>;

constexpr int32_t kEos = 3;
const Tokens kEosIds = {kEos};
// The most probable is EOS, then 2, 1, 0.
const std::vector<float> kLogits = {0, 1, 2, 3};

CompletionRequest Greedy() {
  CompletionRequest request;
  request.prompt_tokens = {0, 1};
  request.max_tokens = 10;
  request.sampling.temperature = 0;
  return request;
}

int32_t Choose(const CompletionRequest& request, const Tokens& answer) {
  return ChooseToken(request, 1, answer, kLogits, kEosIds);
}

std::optional<FinishReason> End(const CompletionRequest& request, const Tokens& answer) {
  return EndOfAnswer(request, answer, kEosIds);
}

TEST(ChooseTokenTest, NeitherEosNorStopTokensComeBeforeMinTokens) {
  CompletionRequest request = Greedy();
  EXPECT_EQ(Choose(request, {}), kEos);
  request.min_tokens = 2;
  EXPECT_EQ(Choose(request, {}), 2);
  EXPECT_EQ(Choose(request, {2}), 2) << "it would be the second token, and the last";
  EXPECT_EQ(Choose(request, {2, 2}), kEos);
  request.stop_token_ids = {2, 0};
  EXPECT_EQ(Choose(request, {}), 1);
  request.ignore_eos = true;
  EXPECT_EQ(Choose(request, {}), kEos) << "it ends nothing";
}

TEST(ChooseTokenTest, AdjustmentsComeBeforeTheDraw) {
  CompletionRequest request = Greedy();
  request.adjustments.bias = {{0, 10}};
  EXPECT_EQ(Choose(request, {}), 0);
  request.adjustments.frequency_penalty = 6;
  EXPECT_EQ(Choose(request, {0}), 0);
  EXPECT_EQ(Choose(request, {0, 0}), kEos);
}

TEST(ChooseTokenTest, TheDrawDependsOnSeedAndPositionAlone) {
  CompletionRequest request = Greedy();
  request.sampling.temperature = 10;
  Tokens first, again, other;
  for (int64_t i = 0; i < 50; ++i) {
    const Tokens answer(static_cast<size_t>(i), 1);
    first.push_back(ChooseToken(request, 7, answer, kLogits, kEosIds));
    again.push_back(ChooseToken(request, 7, answer, kLogits, kEosIds));
    other.push_back(ChooseToken(request, 8, answer, kLogits, kEosIds));
  }
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
}

TEST(EndOfAnswerTest, EverythingThatEndsAnAnswerDoes) {
  CompletionRequest request = Greedy();
  EXPECT_EQ(End(request, {1}), std::nullopt);
  EXPECT_EQ(End(request, {1, kEos}), FinishReason::kEos);
  EXPECT_EQ(End(request, Tokens(10, 1)), FinishReason::kLength);
  request.ignore_eos = true;
  EXPECT_EQ(End(request, {1, kEos}), std::nullopt);
  request.stop_token_ids = {1, kEos};
  EXPECT_EQ(End(request, {1}), FinishReason::kStop);
  EXPECT_EQ(End(request, {2, kEos}), FinishReason::kStop) << "asked for, whatever is ignored";
}

TEST(MostProbableTest, AreInOrderWithTheirLogProbs) {
  const TopLogprobs top = MostProbable({1, 3, 3, 0}, 3);
  EXPECT_EQ(top.token_ids, (Tokens{1, 2, 0}));
  const double sum = std::exp(1.0) + 2 * std::exp(3.0) + 1;
  EXPECT_NEAR(top.logprobs[0], 3 - std::log(sum), 1e-6);
  EXPECT_NEAR(top.logprobs[2], 1 - std::log(sum), 1e-6);
  EXPECT_EQ(MostProbable({1, 2}, 5).token_ids.size(), 2u);
  EXPECT_TRUE(MostProbable({1, 2}, 0).token_ids.empty());
  EXPECT_EQ(MostProbable({NAN, 2, NAN, 1}, 3).token_ids, (Tokens{1, 3, 0}));
}

}  // namespace
}  // namespace alchemist
