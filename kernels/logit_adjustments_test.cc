#include "kernels/logit_adjustments.h"

#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

using Logits = std::vector<float>;

Logits Adjusted(const LogitAdjustments& adjustments, const std::vector<int32_t>& prompt,
                const std::vector<int32_t>& answer, Logits logits) {
  AdjustLogits(adjustments, prompt, answer, absl::MakeSpan(logits));
  return logits;
}

TEST(LogitAdjustmentsTest, NothingIsChangedByDefault) {
  EXPECT_FALSE(LogitAdjustments().any());
  EXPECT_EQ(Adjusted({}, {0, 1}, {2, 2}, {1, -2, 3}), (Logits{1, -2, 3}));
}

TEST(LogitAdjustmentsTest, ABiasIsAdded) {
  const LogitAdjustments bias = {.bias = {{0, 2.5f}, {2, -100}}};
  EXPECT_TRUE(bias.any());
  EXPECT_EQ(Adjusted(bias, {0}, {1}, {1, -2, 3}), (Logits{3.5, -2, -97}));
}

TEST(LogitAdjustmentsTest, RepetitionCountsPromptAndAnswerOnce) {
  const LogitAdjustments repetition = {.repetition_penalty = 2};
  EXPECT_TRUE(repetition.any());
  EXPECT_EQ(Adjusted(repetition, {0, 0, 1}, {1, 3, 3}, {4, -4, 5, 6}), (Logits{2, -8, 5, 3}));
}

TEST(LogitAdjustmentsTest, PresenceCountsAnAnswersTokenOnceFrequencyEveryTime) {
  EXPECT_EQ(Adjusted({.presence_penalty = 0.5}, {0}, {1, 1, 1}, {4, 4, 4}), (Logits{4, 3.5, 4}));
  EXPECT_EQ(Adjusted({.frequency_penalty = 0.5}, {0}, {1, 1, 1}, {4, 4, 4}), (Logits{4, 2.5, 4}));
  EXPECT_EQ(Adjusted({.frequency_penalty = -1}, {0}, {1, 1}, {4, 4, 4}), (Logits{4, 6, 4}));
  EXPECT_TRUE(LogitAdjustments{.presence_penalty = -1}.any());
  EXPECT_TRUE(LogitAdjustments{.frequency_penalty = -1}.any());
}

TEST(LogitAdjustmentsTest, TheOrderIsBiasRepetitionThenTheOthers) {
  const LogitAdjustments all = {
      .bias = {{1, 2}}, .repetition_penalty = 2, .presence_penalty = 1, .frequency_penalty = 0.25};
  EXPECT_EQ(Adjusted(all, {}, {1, 1}, {0, 4}), (Logits{0, (4 + 2) / 2 - 1 - 0.5}));
}

}  // namespace
}  // namespace alchemist
