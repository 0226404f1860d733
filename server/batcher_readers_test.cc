// Readers that do not keep up, with real steps of a tiny model.
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "server/batcher.h"
#include "server/batcher_testing.h"

namespace alchemist {
namespace {

constexpr int64_t kLayers = 3;          // Of the test model.
constexpr int64_t kLongAnswer = 150;    // More than a stream has room for.
constexpr int64_t kBehindUs = 200'000;  // More than is forgiven.

TestServingOptions Options(int64_t kv_pages, int64_t running_max) {
  TestServingOptions options;
  options.serving_kv_pages = kv_pages * kLayers;
  options.batcher.running_max = running_max;
  return options;
}

TEST(BatcherReadersTest, AReaderThatTakesNothingLosesItsPlace) {
  TestServing serving(Options(10, 16));
  const auto slow = serving.Add(serving.Request(10, kLongAnswer));
  serving.RunAll();
  EXPECT_EQ(serving.batcher().running(), 1);
  serving.clock().AdvanceUs(BatcherOptions().reader_timeout_us);
  serving.RunAll();
  EXPECT_EQ(serving.batcher().running(), 0);
  EXPECT_TRUE(slow->abandoned());
  EXPECT_EQ(serving.batcher().counters().unread, 1);
  serving.ExpectIdle();
}

// Three choices want six places in the stream, so that taking two events makes no room.
TEST(BatcherReadersTest, AReaderThatTakesALittleIsNotGone) {
  TestServing serving(Options(40, 16));
  CompletionRequest request = serving.Request(10, kLongAnswer);
  request.choices = 3;
  const auto stream = std::make_shared<CompletionStream>(3);
  ASSERT_TRUE(serving.batcher().Add(std::move(request), stream).ok());
  serving.RunAll();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(stream->Take().has_value());
    ASSERT_FALSE(stream->HasRoom());
    serving.RunAll();
    serving.clock().AdvanceUs(BatcherOptions().reader_timeout_us - 1);
    serving.RunAll();
    ASSERT_FALSE(stream->abandoned()) << i;
  }
  serving.clock().AdvanceUs(1);
  serving.batcher().RunStep();
  EXPECT_TRUE(stream->abandoned());
  EXPECT_EQ(serving.batcher().running(), 0) << "nor do its other choices go on";
  EXPECT_EQ(serving.batcher().counters().unread, 3);
  EXPECT_EQ(serving.batcher().counters().cancelled, 0);
  EXPECT_TRUE(stream->Take().has_value());
  EXPECT_FALSE(stream->Take().has_value()) << "nothing after the end";
}

// Of places, and of K/V pages.
TEST(BatcherReadersTest, WhoDoesNotReadKeepsNothingFromOthers) {
  for (const auto& options : {Options(20, 1), Options(7, 16)}) {
    SCOPED_TRACE(options.batcher.running_max);
    TestServing serving(options);
    CompletionRequest long_one = serving.Request(10, kLongAnswer);
    long_one.ignore_eos = true;
    const auto unread = serving.Add(long_one);
    serving.RunAll();
    ASSERT_FALSE(unread->HasRoom());
    const auto other = serving.Add(serving.Request(20, 100, 2));
    serving.RunAll();
    EXPECT_EQ(serving.batcher().waiting(), 1) << "it may be a hiccup";
    serving.clock().AdvanceUs(kBehindUs);
    TestAnswer answer;
    while (serving.batcher().RunStep()) TestServing::Drain(*other, answer);
    TestServing::Drain(*other, answer);
    EXPECT_EQ(answer.ends, 1);
    EXPECT_TRUE(answer.end.status.ok()) << answer.end.status;
    EXPECT_FALSE(serving.batcher().HasWork()) << "its reader is waited for";
    EXPECT_EQ(serving.batcher().waiting(), 1);
    EXPECT_NE(serving.batcher().Inspect().find("unread req-"), std::string::npos);
    serving.batcher().CheckInvariants();

    TestAnswer late;
    TestServing::Drain(*unread, late);
    while (serving.batcher().RunStep()) TestServing::Drain(*unread, late);
    TestServing::Drain(*unread, late);
    EXPECT_EQ(late.ends, 1);
    TestServing alone(options);
    TestAnswer wanted;
    const auto read = alone.Add(long_one);
    while (alone.batcher().RunStep()) TestServing::Drain(*read, wanted);
    TestServing::Drain(*read, wanted);
    EXPECT_EQ(late.tokens, wanted.tokens) << "as if it had been read at once";
    EXPECT_EQ(late.log_probs, wanted.log_probs);
    serving.ExpectIdle();
  }
}

TEST(BatcherReadersTest, WhoIsSetAsideCanBeAbortedCancelledAndGivenUp) {
  TestServing serving(Options(40, 1));
  std::vector<std::shared_ptr<CompletionStream>> unread;
  std::vector<std::string> ids;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    CompletionRequest request = serving.Request(10, kLongAnswer, seed);
    ids.push_back(request.request_id);
    unread.push_back(serving.Add(std::move(request)));
    serving.RunAll();
    serving.clock().AdvanceUs(kBehindUs);
    serving.RunAll();
  }
  EXPECT_EQ(serving.batcher().running(), 1);
  EXPECT_EQ(serving.batcher().waiting(), 3);
  EXPECT_EQ(serving.batcher().Abort({ids[0]}, "").size(), 1u);
  unread[1]->Cancel();
  serving.RunAll();
  EXPECT_EQ(serving.batcher().waiting(), 1);
  EXPECT_EQ(serving.batcher().counters().aborted, 1);
  EXPECT_EQ(serving.batcher().counters().cancelled, 1);
  serving.clock().AdvanceUs(BatcherOptions().reader_timeout_us);
  serving.RunAll();
  EXPECT_EQ(serving.batcher().counters().unread, 2);
  serving.ExpectIdle();
}

TEST(BatcherReadersTest, AFullQueueRefusesNobodyForThoseWhoDoNotRead) {
  TestServingOptions options = Options(40, 1);
  options.batcher.waiting_max = 2;
  TestServing serving(options);
  std::vector<std::shared_ptr<CompletionStream>> unread;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    unread.push_back(serving.Add(serving.Request(10, kLongAnswer, seed)));
    serving.RunAll();
    serving.clock().AdvanceUs(kBehindUs);
    serving.RunAll();
  }
  EXPECT_EQ(serving.batcher().counters().refused, 0);
  EXPECT_EQ(serving.batcher().counters().unread, 1) << "the first that was set aside";
  EXPECT_TRUE(unread[0]->abandoned());
  EXPECT_FALSE(unread[1]->abandoned());
  serving.batcher().FailAll(absl::UnavailableError("the server is stopping"));
  serving.ExpectIdle();
}

TEST(BatcherReadersTest, ACallWhoseAnswerHasEndedIsNotWaitedForForEver) {
  TestServing serving(Options(40, 1));
  const auto read = serving.Add(serving.Request(10, 3));
  const auto unread = serving.Add(serving.Request(10, 3, 2));
  serving.RunAll();
  EXPECT_EQ(serving.finished().size(), 2u);
  while (read->Take().has_value()) {
  }
  read->Cancel();  // As a call does that has written everything.
  for (int i = 0; i < 2; ++i) {
    serving.clock().AdvanceUs(BatcherOptions().reader_timeout_us - 1);
    serving.RunAll();
    EXPECT_FALSE(unread->abandoned()) << i;
    ASSERT_TRUE(unread->Take().has_value());
    serving.RunAll();
  }
  serving.clock().AdvanceUs(BatcherOptions().reader_timeout_us);
  serving.RunAll();
  EXPECT_TRUE(unread->abandoned());
  EXPECT_FALSE(read->abandoned());
  const std::optional<CompletionEvent> last = unread->Take();
  ASSERT_TRUE(last.has_value() && std::holds_alternative<CompletionEnd>(*last));
  EXPECT_EQ(std::get<CompletionEnd>(*last).status.code(), absl::StatusCode::kDeadlineExceeded);
}

// The first choice has ended, its reader has read everything, and the others wait for a place.
TEST(BatcherReadersTest, ACallWithChoicesToComeIsNotUnread) {
  TestServing serving(Options(40, 1));
  CompletionRequest request = serving.Request(10, 3);
  request.choices = 2;
  const auto stream = std::make_shared<CompletionStream>(2);
  ASSERT_TRUE(serving.batcher().Add(std::move(request), stream).ok());
  std::vector<TestAnswer> answers(2);
  while (serving.finished().empty()) ASSERT_TRUE(serving.batcher().RunStep());
  TestServing::DrainChoices(*stream, answers);
  ASSERT_TRUE(serving.batcher().RunStep());
  serving.clock().AdvanceUs(BatcherOptions().reader_timeout_us);
  serving.RunAll();
  EXPECT_FALSE(stream->abandoned());
  TestServing::DrainChoices(*stream, answers);
  EXPECT_EQ(answers[0].ends + answers[1].ends, 2);
}

}  // namespace
}  // namespace alchemist
