#include "server/batcher.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "server/batcher_testing.h"

namespace alchemist {
namespace {

constexpr int64_t kLengths[] = {1, 31, 32, 33, 64, 65};
constexpr int64_t kAnswerTokens = 12;

TestServingOptions Options(int64_t rows_per_step, bool record) {
  TestServingOptions options;
  options.batcher.scheduler.rows_per_step = rows_per_step;
  options.batcher.record = record ? RecordMode::kPrefill : RecordMode::kOff;
  return options;
}

// Greedy for even places, sampled for odd ones.
CompletionRequest RequestAt(const TestServing& serving, size_t place) {
  CompletionRequest request = serving.Request(kLengths[place], kAnswerTokens);
  if (place % 2 == 1) request.sampling.temperature = 1;
  request.seed = 40 + place;
  return request;
}

struct Served {
  std::vector<TestAnswer> answers;
  std::vector<std::map<std::string, std::string>> records;
};

// All lengths at once, or one after the other.
Served ServeAll(int64_t rows_per_step, bool record, bool together) {
  TestServing serving(Options(rows_per_step, record));
  std::vector<std::shared_ptr<CompletionStream>> streams;
  for (size_t place = 0; place < std::size(kLengths); ++place) {
    streams.push_back(serving.Add(RequestAt(serving, place)));
    if (!together) serving.RunAll();
  }
  serving.RunAll();
  serving.ExpectIdle();
  Served served;
  std::map<std::string, uint64_t> records;
  for (const FinishedCompletion& f : serving.finished()) {
    records[f.row.completion_id] = f.record_id;
  }
  for (const auto& stream : streams) {
    served.answers.push_back(TestServing::AnswerOf(*stream));
    const uint64_t id = records.at(served.answers.back().end.completion_id);
    EXPECT_EQ(id != 0, record);
    if (id != 0) served.records.push_back(serving.RecordBytes(id));
  }
  EXPECT_EQ(serving.batcher().counters().recorded, record ? 6 : 0);
  EXPECT_EQ(serving.batcher().counters().unrecorded, record ? 0 : 6);
  return served;
}

TEST(BatcherTest, AnswersHaveTheSameBitsAloneInCompanyRecordedAndForEveryChunking) {
  const Served alone = ServeAll(512, /*record=*/false, /*together=*/false);
  for (const TestAnswer& answer : alone.answers) {
    ASSERT_EQ(answer.tokens.size(), static_cast<size_t>(kAnswerTokens));
  }
  for (const bool record : {false, true}) {
    for (const int64_t rows_per_step : {1, 7, 64, 512}) {
      const Served served = ServeAll(rows_per_step, record, /*together=*/true);
      for (size_t i = 0; i < alone.answers.size(); ++i) {
        const std::string what =
            absl::StrCat("prompt ", kLengths[i], " chunk ", rows_per_step, " record ", record);
        EXPECT_EQ(served.answers[i].tokens, alone.answers[i].tokens) << what;
        ExpectSameBits(what.c_str(), served.answers[i].log_probs, alone.answers[i].log_probs);
        EXPECT_EQ(served.answers[i].end.recorded, record) << what;
      }
    }
  }
}

TEST(BatcherTest, RecordsHaveTheSameBytesForEveryChunkingAndCompany) {
  const Served alone = ServeAll(512, /*record=*/true, /*together=*/false);
  for (const int64_t rows_per_step : {1, 7, 64, 512}) {
    const Served served = ServeAll(rows_per_step, /*record=*/true, /*together=*/true);
    ASSERT_EQ(served.records.size(), alone.records.size());
    for (size_t i = 0; i < alone.records.size(); ++i) {
      ASSERT_EQ(served.records[i].size(), alone.records[i].size());
      for (const auto& [tensor, bytes] : alone.records[i]) {
        EXPECT_TRUE(served.records[i].at(tensor) == bytes)
            << tensor << " of prompt " << kLengths[i] << " in chunks of " << rows_per_step;
      }
    }
  }
}

TEST(BatcherTest, AQueuedRequestRunsAtWhatServesWhenItIsAdmitted) {
  TestServingOptions options;
  options.batcher.running_max = 1;
  TestServing serving(options);
  const auto running = serving.Add(serving.Request(33, 8));
  const auto queued = serving.Add(serving.Request(33, 8));
  ASSERT_TRUE(serving.batcher().RunStep());
  const RevisionId first = serving.revision()->id;
  serving.Serve(serving.MakeRevision(1));
  serving.RunAll();
  EXPECT_EQ(TestServing::AnswerOf(*running).end.revision, first) << "it keeps the one it began at";
  EXPECT_EQ(TestServing::AnswerOf(*queued).end.revision, serving.revision()->id);
}

TEST(BatcherTest, ARequestRunsAtItsOwnRevisionBesideOthers) {
  TestServing serving;
  const auto other = serving.MakeRevision(1);
  const auto alone = serving.Add(serving.Request(33, 8));
  serving.RunAll();
  const auto beside = serving.Add(serving.Request(33, 8));
  const auto changed = serving.Add(serving.Request(33, 8), other);
  serving.RunAll();
  const TestAnswer wanted = TestServing::AnswerOf(*alone);
  const TestAnswer got = TestServing::AnswerOf(*beside);
  ExpectSameBits("log-probs", got.log_probs, wanted.log_probs);
  const TestAnswer answer = TestServing::AnswerOf(*changed);
  EXPECT_NE(answer.log_probs, wanted.log_probs);
  EXPECT_EQ(answer.end.revision, other->id);
  EXPECT_EQ(got.end.revision, serving.revision()->id);
}

TEST(BatcherTest, TheLogGetsWhatTheClientGot) {
  TestServing serving;
  CompletionRequest request = serving.Request(5, 3);
  const std::vector<int32_t> prompt = request.prompt_tokens;
  const auto stream = serving.Add(std::move(request));
  serving.RunAll();
  const TestAnswer answer = TestServing::AnswerOf(*stream);
  EXPECT_EQ(answer.ends, 1);
  EXPECT_TRUE(answer.end.status.ok());
  EXPECT_EQ(answer.end.prompt_tokens, 5);
  EXPECT_EQ(answer.end.completion_tokens, 3);
  EXPECT_EQ(answer.end.finish_reason, FinishReason::kLength);
  ASSERT_EQ(serving.finished().size(), 1u);
  const FinishedCompletion& finished = serving.finished()[0];
  EXPECT_EQ(finished.row.completion_id, answer.end.completion_id);
  EXPECT_EQ(finished.row.revision, serving.revision()->id);
  EXPECT_EQ(finished.row.prompt_tokens, prompt);
  EXPECT_EQ(finished.row.response_tokens, answer.tokens);
  EXPECT_EQ(finished.row.log_probs, answer.log_probs);
  EXPECT_EQ(serving.batcher().counters().length, 1);
  EXPECT_EQ(serving.batcher().counters().generation_tokens, 3);
  EXPECT_TRUE(serving.store().Holds(finished.record_id));
  const auto lease = serving.store().Lease(finished.record_id, /*session_epoch=*/1);
  ASSERT_TRUE(lease.ok()) << lease.status();
  const RecordIdentity& identity = lease->identity;
  EXPECT_EQ(identity.revision_digest, serving.revision()->id.digest);
  EXPECT_EQ(identity.tokenizer_digest, serving.tokenizer().digest());
}

TEST(BatcherTest, AnswersEndAtTheFirstEosAndBeforeAStopString) {
  TestServing endless;
  const auto whole = endless.Add(endless.Request(20, 40));
  endless.RunAll();
  const TestAnswer wanted = TestServing::AnswerOf(*whole);
  ASSERT_GT(wanted.text.size(), 4u);

  CompletionRequest request = endless.Request(20, 40);
  request.stop = {wanted.text.substr(wanted.text.size() / 2, 2)};
  const auto stopped = endless.Add(request);
  endless.RunAll();
  TestAnswer answer = TestServing::AnswerOf(*stopped);
  EXPECT_EQ(answer.end.finish_reason, FinishReason::kStop);
  EXPECT_EQ(answer.text, wanted.text.substr(0, wanted.text.find(request.stop[0])));
  endless.ExpectIdle();

  TestServingOptions options;
  options.eos_ids = {95, wanted.tokens[7]};
  const auto eos = std::find_first_of(wanted.tokens.begin(), wanted.tokens.end(),
                                      options.eos_ids.begin(), options.eos_ids.end());
  TestServing serving(options);
  const auto ended = serving.Add(serving.Request(20, 40));
  serving.RunAll();
  answer = TestServing::AnswerOf(*ended);
  EXPECT_EQ(answer.end.finish_reason, FinishReason::kEos);
  EXPECT_EQ(answer.tokens, std::vector<int32_t>(wanted.tokens.begin(), eos + 1));
  serving.ExpectIdle();
}

TEST(BatcherTest, WithoutRoomForARecordRequestsAreServedUnrecorded) {
  const Served wanted = ServeAll(512, /*record=*/false, /*together=*/false);
  // No page at all; K/V but no block; some blocks of a prompt in chunks but not all.
  for (const int64_t record_pages : {1, 12, 40}) {
    TestServingOptions options = Options(7, /*record=*/true);
    options.record_pages = record_pages;
    TestServing serving(options);
    for (const size_t place : {3, 5}) {
      const auto stream = serving.Add(RequestAt(serving, place));
      serving.RunAll();
      const TestAnswer answer = TestServing::AnswerOf(*stream);
      EXPECT_EQ(answer.tokens, wanted.answers[place].tokens) << record_pages;
      EXPECT_FALSE(answer.end.recorded);
    }
    EXPECT_EQ(serving.batcher().counters().unrecorded, 2);
    EXPECT_EQ(serving.batcher().counters().recorded, 0);
    EXPECT_EQ(serving.finished()[0].record_id, 0u);
    EXPECT_EQ(serving.store().ledger().records, 0) << "what was begun is given back";
    serving.ExpectIdle();
  }
}

TEST(BatcherTest, AStoreFullOfLeasedRecordsStopsRecordingAndNothingElse) {
  TestServingOptions options;
  options.record_pages = 120;
  TestServing serving(options);
  constexpr uint64_t kEpoch = 3;
  bool full = false;
  for (uint64_t seed = 1; seed < 20 && !full; ++seed) {
    const auto stream = serving.Add(serving.Request(33, 4, seed));
    serving.RunAll();
    const TestAnswer answer = TestServing::AnswerOf(*stream);
    ASSERT_EQ(answer.tokens.size(), 4u);
    full = !answer.end.recorded;
    if (!full) {
      ASSERT_TRUE(serving.store().Lease(serving.finished().back().record_id, kEpoch).ok());
    }
  }
  EXPECT_TRUE(full);
  EXPECT_GT(serving.store().ledger().leases, 0);
  EXPECT_EQ(serving.store().ledger().evictions, 0) << "leased records stay";
  serving.ExpectIdle();
  serving.store().EndSession(kEpoch);
  const auto stream = serving.Add(serving.Request(33, 4));
  serving.RunAll();
  EXPECT_TRUE(TestServing::AnswerOf(*stream).end.recorded) << "unleased ones give way";
  EXPECT_GT(serving.store().ledger().evictions, 0);
}

TEST(BatcherTest, StepsAndTheWaitForTheFirstOneAreLogged) {
  TestServing serving(Options(/*rows_per_step=*/20, /*record=*/true));
  constexpr int64_t kLayerUs = 10;  // Of three layers.
  serving.poll = [&] { serving.clock().AdvanceUs(kLayerUs); };
  const int64_t begin_us = serving.clock().MonotonicUs();
  serving.Add(serving.Request(33, 2));
  serving.clock().AdvanceUs(5);
  serving.RunAll();
  EXPECT_EQ(serving.batcher().step_log().Text(),
            absl::StrCat("step ", begin_us + 5, " 30 0 20\n", "step ", begin_us + 35, " 30 0 13\n",
                         "step ", begin_us + 65, " 30 1 0\n", "wait ", begin_us + 5, " 5\n"));
}

TEST(BatcherTest, ASlowReaderStopsItsOwnSequenceOnly) {
  TestServing serving;
  constexpr int64_t kTokens = 150;
  const auto slow = serving.Add(serving.Request(10, kTokens));
  const auto quick = serving.Add(serving.Request(11, kTokens));
  TestAnswer quick_answer;
  while (serving.batcher().RunStep()) TestServing::Drain(*quick, quick_answer);
  TestServing::Drain(*quick, quick_answer);
  EXPECT_EQ(quick_answer.ends, 1);
  EXPECT_EQ(quick_answer.tokens.size(), static_cast<size_t>(kTokens));
  EXPECT_EQ(serving.batcher().running(), 1);
  EXPECT_FALSE(slow->HasRoom()) << "room for the end is kept";
  TestAnswer slow_answer;
  for (int round = 0; round < 10 && slow_answer.ends == 0; ++round) {
    TestServing::Drain(*slow, slow_answer);
    serving.RunAll();
  }
  TestServing::Drain(*slow, slow_answer);
  EXPECT_EQ(slow_answer.ends, 1);
  EXPECT_EQ(slow_answer.tokens.size(), static_cast<size_t>(kTokens)) << "nothing was lost";
  serving.ExpectIdle();
}

TEST(BatcherTest, ACancelledRequestGivesEverythingBackWhereverItIs) {
  TestServingOptions options = Options(7, /*record=*/true);
  options.batcher.running_max = 2;
  TestServing serving(options);
  const auto prefilling = serving.Add(serving.Request(65, 10));
  const auto decoding = serving.Add(serving.Request(1, 10));
  const auto waiting = serving.Add(serving.Request(5, 10));
  for (int step = 0; step < 11; ++step) ASSERT_TRUE(serving.batcher().RunStep());
  ASSERT_EQ(serving.batcher().running(), 2);
  ASSERT_EQ(serving.batcher().waiting(), 1);
  for (const auto& stream : {prefilling, decoding, waiting}) stream->Cancel();
  EXPECT_FALSE(serving.batcher().RunStep());
  serving.ExpectIdle();
  EXPECT_TRUE(serving.finished().empty()) << "nobody can give feedback on it";
  EXPECT_EQ(serving.batcher().counters().cancelled, 3);
}

TEST(BatcherTest, ACallThatIsGoneHarmsNobody) {
  TestServing serving;
  const auto gone = serving.Add(serving.Request(10, 20));
  const auto other = serving.Add(serving.Request(11, 20));
  for (int step = 0; step < 3; ++step) ASSERT_TRUE(serving.batcher().RunStep());
  gone->Cancel();
  serving.RunAll();
  EXPECT_EQ(TestServing::AnswerOf(*other).tokens.size(), 20u);
  serving.ExpectIdle();
}

TEST(BatcherTest, FailAllTellsEverybodyAndGivesEverythingBack) {
  TestServingOptions options = Options(7, /*record=*/true);
  options.batcher.running_max = 2;
  TestServing serving(options);
  std::vector<std::shared_ptr<CompletionStream>> streams;
  for (const int64_t rows : {65, 1, 5}) streams.push_back(serving.Add(serving.Request(rows, 90)));
  for (int step = 0; step < 80; ++step) serving.batcher().RunStep();  // One stream is full.
  serving.batcher().FailAll(absl::UnavailableError("the server is stopping"));
  for (const auto& stream : streams) {
    const TestAnswer answer = TestServing::AnswerOf(*stream);
    EXPECT_EQ(answer.ends, 1);
    EXPECT_EQ(answer.end.status.code(), absl::StatusCode::kUnavailable);
  }
  serving.ExpectIdle();
  EXPECT_FALSE(serving.batcher().RunStep());
}

TEST(BatcherTest, TheQueueAndARequestHaveLimits) {
  TestServingOptions options;
  options.batcher.waiting_max = 2;
  options.serving_kv_pages = 3 * 4;
  TestServing serving(options);
  const auto add = [&](int64_t rows, int64_t max_tokens) {
    return serving.batcher()
        .Add(serving.Request(rows, max_tokens), std::make_shared<CompletionStream>())
        .code();
  };
  EXPECT_EQ(add(100, 29), absl::StatusCode::kInvalidArgument) << "4 pages hold 128";
  EXPECT_EQ(add(100, 28), absl::StatusCode::kOk);
  EXPECT_EQ(add(1, 1), absl::StatusCode::kOk);
  EXPECT_EQ(add(1, 1), absl::StatusCode::kResourceExhausted);
  serving.RunAll();
  EXPECT_EQ(serving.finished().size(), 2u);
  serving.ExpectIdle();
}

TEST(BatcherTest, WhoFindsNoPagesWaitsForThoseBeforeItInOrder) {
  TestServingOptions options = Options(512, /*record=*/false);
  options.serving_kv_pages = 3 * 4;
  TestServing serving(options);
  std::vector<std::shared_ptr<CompletionStream>> streams;
  for (const int64_t rows : {70, 60, 2}) streams.push_back(serving.Add(serving.Request(rows, 4)));
  ASSERT_TRUE(serving.batcher().RunStep());
  EXPECT_EQ(serving.batcher().running(), 1);
  EXPECT_EQ(serving.batcher().waiting(), 2) << "the small one does not overtake";
  serving.RunAll();
  ASSERT_EQ(serving.finished().size(), 3u);
  std::vector<size_t> order;
  for (const auto& f : serving.finished()) order.push_back(f.row.prompt_tokens.size());
  EXPECT_EQ(order[0], 70u);
  serving.ExpectIdle();
}

TEST(BatcherTest, RequestsThatComeBetweenLayersWaitForTheNextStep) {
  TestServing serving;
  std::shared_ptr<CompletionStream> late;
  int64_t polls = 0;
  serving.poll = [&] {
    if (++polls == 2) late = serving.Add(serving.Request(8, 3));
  };
  const auto first = serving.Add(serving.Request(9, 3));
  ASSERT_TRUE(serving.batcher().RunStep());
  EXPECT_EQ(polls, serving.layout().layers());
  EXPECT_EQ(serving.batcher().waiting(), 1);
  serving.RunAll();
  EXPECT_EQ(TestServing::AnswerOf(*late).ends, 1);
  EXPECT_EQ(TestServing::AnswerOf(*first).ends, 1);
}

}  // namespace
}  // namespace alchemist
