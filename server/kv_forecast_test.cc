#include "server/kv_forecast.h"

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(LengthForecastTest, KnowsNothingBeforeEnoughAnswersEnded) {
  LengthForecast forecast;
  for (int64_t i = 1; i < LengthForecast::kLengthsMin; ++i) {
    forecast.Add(10);
    EXPECT_EQ(forecast.Forecast(0, 300), 300);
  }
  forecast.Add(10);
  EXPECT_EQ(forecast.Forecast(0, 300), 10);
  EXPECT_EQ(forecast.Forecast(0, 7), 7) << "never above what is allowed";
}

TEST(LengthForecastTest, IsTheNinetiethPercentileOfTheAnswersThatGotFurther) {
  LengthForecast forecast;
  for (int64_t length = 1; length <= 100; ++length) forecast.Add(length);
  EXPECT_EQ(forecast.Forecast(0, 1000), 91);
  EXPECT_EQ(forecast.Forecast(50, 1000), 96);
  EXPECT_EQ(forecast.Forecast(84, 1000), 99) << "16 got further";
  EXPECT_EQ(forecast.Forecast(85, 1000), 1000) << "15 are too few";
}

TEST(LengthForecastTest, FollowsTheLastAnswers) {
  LengthForecast forecast;
  for (int64_t i = 0; i < LengthForecast::kLengthsMax; ++i) forecast.Add(500);
  for (int64_t i = 0; i < LengthForecast::kLengthsMax; ++i) forecast.Add(20);
  EXPECT_EQ(forecast.Forecast(0, 1000), 20);
}

TEST(PeakKvPagesTest, OfOneRequestAreThoseOfItsEnd) {
  EXPECT_EQ(PeakKvPages({}), 0);
  EXPECT_EQ(PeakKvPages({{.tokens = 10, .tokens_more = 22}}), 1);
  EXPECT_EQ(PeakKvPages({{.tokens = 10, .tokens_more = 23}}), 2);
  EXPECT_EQ(PeakKvPages({{.tokens = 100, .tokens_more = 0, .pages_recorded = 3}}), 1);
}

TEST(PeakKvPagesTest, WhoEndsFirstMakesRoomForTheOthers) {
  // 320 tokens end at once: 10 pages. When the other one has grown to its 10, they are free again.
  EXPECT_EQ(PeakKvPages({{.tokens = 319, .tokens_more = 1}, {.tokens = 32, .tokens_more = 288}}),
            10 + 2);
  EXPECT_EQ(PeakKvPages({{.tokens = 32, .tokens_more = 288}, {.tokens = 32, .tokens_more = 288}}),
            20);
}

}  // namespace
}  // namespace alchemist
