#include "server/request_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/captured_log.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/status.h"
#include "model/random_model.h"
#include "server/batcher.h"
#include "server/batcher_testing.h"

namespace alchemist {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kSecretTenant[] = "secret-tenant";

// GLOG_v=1, while it lives.
class Verbose {
 public:
  Verbose() { FLAGS_v = 1; }
  ~Verbose() { FLAGS_v = 0; }
};

CompletionRequest Named(std::string request_id) {
  CompletionRequest request;
  request.request_id = std::move(request_id);
  request.tenant = kSecretTenant;
  return request;
}

// A batcher that serves revision 7, and the log of what it does.
class BatcherLogTest : public ::testing::Test {
 protected:
  static TestServingOptions Options() {
    TestServingOptions options;
    options.batcher.running_max = 6;
    return options;
  }
  void Serve(const TestServingOptions& options) {
    serving_ = std::make_unique<TestServing>(options);
    serving_->Serve(serving_->MakeRevision(7));
  }
  CompletionRequest Request(std::string request_id, int64_t rows, int64_t max_tokens) {
    CompletionRequest request = serving_->Request(rows, max_tokens);
    request.request_id = std::move(request_id);
    request.tenant = kSecretTenant;
    return request;
  }
  // Admits what waits.
  void Step() { ASSERT_TRUE(serving_->batcher().RunStep()); }

  std::unique_ptr<TestServing> serving_;
  CapturedLog log_;
};

TEST(RequestLogTest, OneLineASecondOfEachKindSaysHowManyWereLeftOut) {
  ManualClock clock;
  RequestLog requests(&clock);
  CapturedLog log;
  const absl::Status full = absl::ResourceExhaustedError("the queue is full");
  for (const char* id : {"req-1", "req-2", "req-3"}) requests.Refused(Named(id), full);
  EXPECT_THAT(log.Take(), ElementsAre("W request req-1 was refused: RESOURCE_EXHAUSTED: the queue "
                                      "is full"));
  clock.AdvanceUs(RequestLog::kIntervalUs - 1);
  requests.Refused(Named("req-4"), full);
  EXPECT_THAT(log.Take(), IsEmpty());
  clock.AdvanceUs(1);
  requests.Refused(Named("req-5"), full);
  EXPECT_THAT(log.Take(),
              ElementsAre("W request req-5 was refused: RESOURCE_EXHAUSTED: the queue is full "
                          "(3 more such lines were left out)"));
  clock.AdvanceUs(RequestLog::kIntervalUs);
  requests.Refused(Named("req-6"), full);
  EXPECT_THAT(log.Take(), ElementsAre(Not(HasSubstr("left out"))));
}

TEST(RequestLogTest, EveryLineIsWrittenWhenAskedFor) {
  const Verbose verbose;
  ManualClock clock;
  RequestLog requests(&clock);
  CapturedLog log;
  for (const char* id : {"req-1", "req-2"}) requests.Refused(Named(id), absl::UnavailableError(""));
  EXPECT_THAT(log.Take(), ElementsAre(HasSubstr("req-1 was"), HasSubstr("req-2 was")));
}

TEST_F(BatcherLogTest, WhoIsCancelledIsNamedWithItsRevisionOnceThatIsPinned) {
  Serve(Options());
  const auto running = serving_->Add(Request("req-running", 5, 60));
  Step();
  running->Cancel();
  serving_->RunAll();
  EXPECT_THAT(log_.Take(),
              ElementsAre("I request req-running revision 7 was cancelled: CANCELLED: its call has "
                          "ended"));
  serving_->clock().AdvanceUs(RequestLog::kIntervalUs);
  serving_->Add(Request("req-waiting", 5, 60));
  serving_->batcher().Abort({"req-waiting"}, kSecretTenant);
  serving_->RunAll();
  EXPECT_THAT(log_.Take(),
              ElementsAre("I request req-waiting was cancelled: CANCELLED: ended by Abort"));
}

TEST_F(BatcherLogTest, WhoFailsIsNamed) {
  TestServingOptions options = Options();
  Serve(options);
  const auto slow = serving_->Add(Request("req-slow", 10, 150));
  serving_->RunAll();
  serving_->clock().AdvanceUs(options.batcher.reader_timeout_us);
  serving_->RunAll();
  EXPECT_THAT(log_.Take(), ElementsAre("W request req-slow revision 7 failed: DEADLINE_EXCEEDED: "
                                       "the answer was not read for too long"));
  serving_->clock().AdvanceUs(RequestLog::kIntervalUs);
  serving_->Add(Request("req-last", 10, 10));
  serving_->batcher().FailAll(absl::UnavailableError("the server is stopping"));
  EXPECT_THAT(log_.Take(),
              ElementsAre("W request req-last failed: UNAVAILABLE: the server is stopping"));
}

TEST_F(BatcherLogTest, WhoIsRefusedIsNamed) {
  TestServingOptions options = Options();
  options.batcher.waiting_max = 1;
  Serve(options);
  serving_->Add(Request("req-1", 5, 5));
  const absl::Status status =
      serving_->batcher().Add(Request("req-2", 5, 5), std::make_shared<CompletionStream>());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(
      log_.Take(),
      ElementsAre(StartsWith("W request req-2 was refused: RESOURCE_EXHAUSTED: the queue")));
}

TEST_F(BatcherLogTest, WhoIsPreemptedIsNamed) {
  TestServingOptions options = Options();
  options.batcher.record = RecordMode::kOff;
  options.serving_kv_pages = 9 * TinyModelConfig(options.family).layers;
  Serve(options);
  // Short answers, so that the server expects more such and admits all six that follow.
  for (int64_t i = 0; i < LengthForecast::kLengthsMin; ++i) {
    serving_->Add(serving_->Request(1, 2));
    serving_->RunAll();
  }
  std::vector<std::shared_ptr<CompletionStream>> streams;
  for (int i = 1; i <= 6; ++i) {
    streams.push_back(serving_->Add(Request(absl::StrCat("req-", i), 1, 60)));
  }
  serving_->RunAll();
  ASSERT_GT(serving_->batcher().counters().preempted, 0);
  EXPECT_THAT(log_.Take(),
              ElementsAre(MatchesRegex("I request req-[1-6] revision 7 was preempted and waits "
                                       "again, preemptions 1")));
}

TEST_F(BatcherLogTest, AFinishedRequestNamesItsCompletionsAndNeitherTenantNorText) {
  const Verbose verbose;
  Serve(Options());
  CompletionRequest request = Request("req-two", 5, 3);
  request.choices = 2;
  serving_->batcher().Add(request, std::make_shared<CompletionStream>(2)).IgnoreError();
  serving_->RunAll();
  const std::vector<std::string> lines = log_.Take();
  ASSERT_EQ(serving_->finished().size(), 2u);
  EXPECT_EQ(lines.size(), 2u);
  for (const FinishedCompletion& finished : serving_->finished()) {
    EXPECT_EQ(finished.request_id, "req-two") << "for the line about a row that was not logged";
    EXPECT_THAT(lines, Contains(HasSubstr(absl::StrCat(
                           " revision 7 finished as completion ", finished.row.completion_id,
                           ": prompt_tokens 5 cached_tokens 0 completion_tokens 3 "))));
  }
  for (const int choice : {0, 1}) {
    EXPECT_THAT(lines, Contains(StartsWith(absl::StrCat("I request req-two choice ", choice))));
  }
  EXPECT_THAT(lines, Not(Contains(HasSubstr(kSecretTenant))));
}

}  // namespace
}  // namespace alchemist
