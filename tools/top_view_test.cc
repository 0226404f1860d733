#include "tools/top_view.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

v1::Histogram HistogramOf(const std::vector<int64_t>& counts) {
  v1::Histogram histogram;
  for (const double bound : {1.0, 2.0, 4.0}) histogram.add_bounds(bound);
  for (const int64_t count : counts) histogram.add_counts(count);
  return histogram;
}

TEST(TopViewTest, QuantilesAreOfWhatCameInBetween) {
  const v1::Histogram earlier = HistogramOf({100, 0, 0, 0});
  const v1::Histogram later = HistogramOf({100, 0, 10, 0});
  EXPECT_DOUBLE_EQ(*QuantileBetween(earlier, later, 0.5), 3.0);
  EXPECT_DOUBLE_EQ(*QuantileBetween(earlier, later, 1.0), 4.0);
  EXPECT_DOUBLE_EQ(*QuantileBetween(HistogramOf({0, 0, 0, 0}), HistogramOf({2, 2, 0, 0}), 0.75),
                   1.5);
}

TEST(TopViewTest, WhatIsAboveAllBoundsIsTheLastBound) {
  EXPECT_DOUBLE_EQ(*QuantileBetween(HistogramOf({0, 0, 0, 0}), HistogramOf({0, 0, 0, 5}), 0.5), 4);
}

TEST(TopViewTest, NothingInBetweenAndAServerStartedAnewHaveNoQuantiles) {
  const v1::Histogram counted = HistogramOf({3, 0, 0, 0});
  EXPECT_FALSE(QuantileBetween(counted, counted, 0.5).has_value());
  EXPECT_FALSE(QuantileBetween(counted, HistogramOf({1, 5, 0, 0}), 0.5).has_value());
  EXPECT_FALSE(QuantileBetween(v1::Histogram(), counted, 0.5).has_value());
}

TEST(TopViewTest, CountsAreRatesAndStatesAreNow) {
  v1::GetStatusResponse earlier;
  earlier.mutable_requests()->set_generation_tokens(1000);
  earlier.set_prompt_tokens(100);
  v1::GetStatusResponse later = earlier;
  later.set_requests_running(3);
  later.mutable_requests()->set_generation_tokens(1500);
  later.mutable_requests()->set_ended_by_eos(4);
  later.mutable_requests()->set_ended_by_length(1);
  later.mutable_requests()->set_aborted(1);
  later.set_prompt_tokens(300);
  later.set_prefix_tokens(50);
  later.set_trainer(v1::TRAINER_STATE_ACTIVE);
  later.set_training_paused(true);
  later.mutable_record_states()->mutable_leased()->set_records(2);
  later.mutable_record_states()->mutable_leased()->set_bytes(3 << 19);
  const std::string text = FormatTop(earlier, later, 2);
  EXPECT_THAT(text, HasSubstr("3 run, 0 wait; 2.5/s ended, 0.5/s given up"));
  EXPECT_THAT(text, HasSubstr("250/s of answers, 100/s of prompts, 25% of them found recorded"));
  EXPECT_THAT(text, HasSubstr("trainer ACTIVE, paused"));
  EXPECT_THAT(text, HasSubstr("leased 2 in 1.5 MiB"));
  EXPECT_THAT(text, HasSubstr("time to first token           -        -        -\n"));
}

TEST(TopViewTest, FitsATerminal) {
  v1::GetStatusResponse later;
  later.set_requests_running(9'999);
  later.mutable_requests()->set_generation_tokens(99'999);
  later.set_steps(9'999'999);
  later.set_trainer(v1::TRAINER_STATE_ATTACHED);
  later.set_training_paused(true);
  for (const absl::string_view line : absl::StrSplit(FormatTop({}, later, 1), '\n')) {
    EXPECT_LE(line.size(), 100u) << line;
  }
}

class TopPagesTest : public testing::Test {
 protected:
  absl::StatusOr<v1::GetStatusResponse> GetStatus() {
    now_us_ += call_us_;
    if (!away_.ok()) return away_;
    return status_;
  }

  int64_t now_us_ = 1'000'000;
  int64_t call_us_ = 0;  // How long a call takes.
  absl::Status away_;    // What it ends with, unless OK.
  v1::GetStatusResponse status_;
  TopPages pages_{[this] { return GetStatus(); }, [this] { return now_us_; }};
};

TEST_F(TopPagesTest, AServerThatIsAwayIsThePageAndAskedAgain) {
  ASSERT_TRUE(pages_.Begin().ok());
  now_us_ += 1'000'000;
  away_ = absl::UnavailableError("no connection");
  EXPECT_EQ(pages_.Next(), "UNAVAILABLE: no connection\n");
  now_us_ += 1'000'000;
  away_ = absl::OkStatus();
  status_.set_requests_running(3);
  status_.mutable_requests()->set_generation_tokens(500);
  EXPECT_THAT(pages_.Next(), AllOf(HasSubstr("3 run, 0 wait"), HasSubstr("250/s of answers")))
      << "since it last answered";
}

TEST_F(TopPagesTest, AServerThatIsAwayFromTheFirstIsAnError) {
  away_ = absl::UnavailableError("no connection");
  EXPECT_EQ(pages_.Begin(), away_);
}

TEST_F(TopPagesTest, ACallThatStallsDoesNotRaiseTheRates) {
  call_us_ = 500'000;  // Of the first one, too, which then belongs to no page.
  ASSERT_TRUE(pages_.Begin().ok());
  now_us_ += 1'000'000;
  call_us_ = 4'000'000;
  status_.mutable_requests()->set_generation_tokens(500);
  EXPECT_THAT(pages_.Next(), HasSubstr("100/s of answers"));
  now_us_ += 1'000'000;
  call_us_ = 0;
  status_.mutable_requests()->set_generation_tokens(600);
  EXPECT_THAT(pages_.Next(), HasSubstr("100/s of answers"));
}

}  // namespace
}  // namespace alchemist
