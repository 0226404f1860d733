// Who runs, who waits and who has to give way, with real steps of a tiny model.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "server/batcher.h"
#include "server/batcher_testing.h"
#include "server/retry_pushback.h"

namespace alchemist {
namespace {

constexpr int64_t kLayers = 3;  // Of the test model.
constexpr int64_t kAnswerTokens = 60;

constexpr RecordMode kRecordModes[] = {RecordMode::kOff, RecordMode::kPrefill, RecordMode::kAll};

TestServingOptions Options(int64_t kv_pages, RecordMode record) {
  TestServingOptions options;
  options.serving_kv_pages = kv_pages * kLayers;
  options.batcher.record = record;
  options.batcher.scheduler.rows_per_step = 64;
  return options;
}

std::vector<size_t> PromptsInOrderOfEnd(TestServing& serving) {
  std::vector<size_t> order;
  for (const FinishedCompletion& f : serving.finished()) {
    order.push_back(f.row.prompt_tokens.size());
  }
  return order;
}

// Short answers, so that the server expects more such.
void TeachShortAnswers(TestServing& serving) {
  for (int64_t i = 0; i < LengthForecast::kLengthsMin; ++i) {
    serving.Add(serving.Request(1, 2));
    serving.RunAll();
  }
  serving.finished().clear();
}

// The record of the answer that `other` gave to the same prompt has the same bytes.
void ExpectSameAnswerRecord(TestServing& serving, const FinishedCompletion& finished,
                            TestServing& other, const std::string& what) {
  for (const FinishedCompletion& wanted : other.finished()) {
    if (wanted.row.prompt_tokens != finished.row.prompt_tokens) continue;
    ASSERT_NE(finished.response_record_id, 0u) << what;
    ASSERT_NE(wanted.response_record_id, 0u) << what;
    EXPECT_TRUE(serving.RecordBytes(finished.response_record_id) ==
                other.RecordBytes(wanted.response_record_id))
        << what << ", prompt of " << finished.row.prompt_tokens.size();
    return;
  }
  FAIL() << what << ": the other has no such answer";
}

TEST(BatcherSchedulingTest, APreemptedRequestGetsTheBitsItWouldHaveGot) {
  for (const RecordMode record : kRecordModes) {
    for (const int64_t kv_pages : {3, 4, 6}) {
      TestServing roomy(Options(100, record));
      TestServing serving(Options(kv_pages, record));
      TeachShortAnswers(serving);
      std::vector<std::shared_ptr<CompletionStream>> wanted, got;
      for (const int64_t rows : {20, 33, 31, 1, 5}) {
        CompletionRequest request = roomy.Request(rows, kAnswerTokens);
        request.sampling.temperature = rows % 2 == 0 ? 0 : 1;
        request.seed = static_cast<uint64_t>(rows);
        wanted.push_back(roomy.Add(request));
        got.push_back(serving.Add(request));
      }
      roomy.RunAll();
      serving.RunAll();
      const std::string what = absl::StrCat(kv_pages, " pages, record ", static_cast<int>(record));
      EXPECT_EQ(roomy.batcher().counters().preempted, 0);
      EXPECT_GT(serving.batcher().counters().preempted, 0) << what;
      for (size_t i = 0; i < wanted.size(); ++i) {
        const TestAnswer a = TestServing::AnswerOf(*wanted[i]);
        const TestAnswer b = TestServing::AnswerOf(*got[i]);
        EXPECT_EQ(b.tokens, a.tokens) << what;
        EXPECT_EQ(b.text, a.text) << what;
        ExpectSameBits(what.c_str(), b.log_probs, a.log_probs);
        EXPECT_EQ(b.ends, 1) << what;
        EXPECT_EQ(b.end.recorded, record != RecordMode::kOff) << what;
      }
      if (record == RecordMode::kAll) {
        ASSERT_EQ(serving.finished().size(), wanted.size());
        for (const FinishedCompletion& finished : serving.finished()) {
          ExpectSameAnswerRecord(serving, finished, roomy, what);
        }
      }
      serving.ExpectIdle();
    }
  }
}

// A long answer is resumed over several steps, while one that was admitted after it decodes.
TEST(BatcherSchedulingTest, AnAnswerThatIsResumedDisturbsNoOthersRecord) {
  TestServing roomy(Options(100, RecordMode::kAll));
  TestServing serving(Options(8, RecordMode::kAll));
  TeachShortAnswers(serving);
  std::vector<CompletionRequest> requests;
  for (const int64_t rows : {1, 2, 3}) requests.push_back(roomy.Request(rows, rows < 3 ? 150 : 40));
  for (TestServing* each : {&roomy, &serving}) {
    std::vector<std::shared_ptr<CompletionStream>> streams;
    for (const CompletionRequest& request : requests) {
      if (request.max_tokens == 40) {  // Comes when the second one waits again.
        while (each == &serving && each->batcher().counters().preempted == 0) {
          ASSERT_TRUE(each->batcher().RunStep());
          for (const auto& stream : streams) TestServing::AnswerOf(*stream);
        }
      }
      streams.push_back(each->Add(request));
    }
    while (each->batcher().RunStep()) {
      for (const auto& stream : streams) TestServing::AnswerOf(*stream);
    }
    each->ExpectIdle();
  }
  ASSERT_EQ(serving.finished().size(), 3u);
  for (const FinishedCompletion& finished : serving.finished()) {
    ExpectSameAnswerRecord(serving, finished, roomy, "resumed");
  }
}

TEST(BatcherSchedulingTest, RequestsRunTogetherWhenTheForecastSaysThatTheyFit) {
  TestServing serving(Options(6, RecordMode::kOff));
  for (int i = 0; i < 3; ++i) serving.Add(serving.Request(10, 150));
  ASSERT_TRUE(serving.batcher().RunStep());
  EXPECT_EQ(serving.batcher().running(), 1) << "nothing is known of answers: 5 pages each";
  serving.batcher().FailAll(absl::CancelledError("enough"));
  TeachShortAnswers(serving);
  for (int i = 0; i < 3; ++i) serving.Add(serving.Request(10, 150));
  ASSERT_TRUE(serving.batcher().RunStep());
  EXPECT_EQ(serving.batcher().running(), 3);
}

TEST(BatcherSchedulingTest, ALongPromptTakesNoStepFromRunningAnswers) {
  TestServing serving(Options(100, RecordMode::kPrefill));
  const auto answer = serving.Add(serving.Request(5, 50));
  ASSERT_TRUE(serving.batcher().RunStep());
  serving.Add(serving.Request(200, 5));
  for (size_t tokens = 1; tokens < 6; ++tokens) {
    TestAnswer so_far = TestServing::AnswerOf(*answer);
    EXPECT_EQ(so_far.tokens.size(), 1u) << "step " << tokens;
    ASSERT_TRUE(serving.batcher().RunStep());
  }
}

TEST(BatcherSchedulingTest, TenantsShareAndPrioritiesAreATenantsOwn) {
  TestServingOptions options = Options(100, RecordMode::kOff);
  options.batcher.running_max = 1;
  TestServing serving(options);
  const auto add = [&](const char* tenant, int32_t priority, int64_t rows) {
    CompletionRequest request = serving.Request(rows, 2);
    request.tenant = tenant;
    request.priority = priority;
    serving.Add(std::move(request));
  };
  add("a", 0, 30);
  add("a", 5, 31);
  add("a", 0, 32);
  add("a", -5, 33);
  add("b", 9, 34);
  add("b", 9, 35);
  serving.RunAll();
  EXPECT_EQ(PromptsInOrderOfEnd(serving), (std::vector<size_t>{33, 34, 30, 35, 32, 31}));
}

TEST(BatcherSchedulingTest, PlacesThatAreFreeAtOnceAreShared) {
  TestServingOptions options = Options(100, RecordMode::kOff);
  options.batcher.running_max = 4;
  TestServing serving(options);
  for (const char* tenant : {"a", "b"}) {
    for (int i = 0; i < 4; ++i) {
      CompletionRequest request = serving.Request(tenant[0] == 'a' ? 10 : 20, 5);
      request.tenant = tenant;
      serving.Add(std::move(request));
    }
  }
  ASSERT_TRUE(serving.batcher().RunStep());
  serving.RunAll();
  const std::vector<size_t> order = PromptsInOrderOfEnd(serving);
  EXPECT_EQ(std::count(order.begin(), order.begin() + 4, 10u), 3) << "30 tokens of a, 20 of b";
}

// More decode rows than a step is to have: decodes never wait, and a resumed answer adds its own.
TEST(BatcherSchedulingTest, AResumedAnswerFitsBesideAsManyDecodesAsRun) {
  TestServingOptions options = Options(9, RecordMode::kOff);
  options.batcher.scheduler.rows_per_step = 8;
  options.batcher.running_max = 6;
  TestServing serving(options);
  TeachShortAnswers(serving);
  std::vector<std::shared_ptr<CompletionStream>> streams;
  for (uint64_t seed = 1; seed <= 6; ++seed)
    streams.push_back(serving.Add(serving.Request(1, 60, seed)));
  serving.RunAll();
  EXPECT_GT(serving.batcher().counters().preempted, 0);
  for (const auto& stream : streams) EXPECT_EQ(TestServing::AnswerOf(*stream).ends, 1);
}

TEST(BatcherSchedulingTest, AFullQueueSaysWhenToComeBack) {
  TestServingOptions options = Options(100, RecordMode::kOff);
  options.batcher.running_max = 1;
  options.batcher.waiting_max = 3;
  TestServing serving(options);
  const auto add = [&](const char* tenant) {
    CompletionRequest request = serving.Request(5, 2);
    request.tenant = tenant;
    auto stream = std::make_shared<CompletionStream>();
    return std::pair(serving.batcher().Add(std::move(request), stream), stream);
  };
  std::vector<std::shared_ptr<CompletionStream>> greedy;
  for (int i = 0; i < 3; ++i) greedy.push_back(add("greedy").second);
  const absl::Status refused = add("greedy").first;
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryPushbackMs(refused), QueuePace::kPushbackUnknownMs);
  EXPECT_TRUE(add("other").first.ok()) << "the tenant with most waiting makes room";
  const TestAnswer gone = TestServing::AnswerOf(*greedy[2]);
  EXPECT_EQ(gone.ends, 1);
  EXPECT_EQ(gone.end.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryPushbackMs(gone.end.status).has_value());
  EXPECT_EQ(serving.batcher().waiting(), 3);
  EXPECT_EQ(serving.batcher().counters().refused, 2);
  serving.RunAll();
  EXPECT_EQ(serving.finished().size(), 3u);
}

TEST(BatcherSchedulingTest, AbortEndsWhatATenantHasRunningOrWaiting) {
  TestServingOptions options = Options(100, RecordMode::kPrefill);
  options.batcher.running_max = 2;
  TestServing serving(options);
  std::vector<std::shared_ptr<CompletionStream>> streams;
  std::set<std::string> ids;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    CompletionRequest request = serving.Request(70, 20, seed);
    request.tenant = seed == 2 ? "other" : "own";
    ids.insert(request.request_id);
    streams.push_back(serving.Add(std::move(request)));
  }
  for (int step = 0; step < 3; ++step) ASSERT_TRUE(serving.batcher().RunStep());
  const std::string last = *ids.rbegin();
  ids.erase(last);
  ids.insert("req-unknown");
  EXPECT_EQ(serving.batcher().Abort(ids, "own").size(), 2u) << "neither another tenant's nor who";
  serving.batcher().RunStep();
  for (const size_t place : {0, 2}) {
    const TestAnswer answer = TestServing::AnswerOf(*streams[place]);
    EXPECT_EQ(answer.ends, 1) << place;
    EXPECT_EQ(answer.end.status.code(), absl::StatusCode::kCancelled) << place;
  }
  EXPECT_EQ(serving.batcher().running(), 2) << "the last one has a place now";
  serving.RunAll();
  EXPECT_EQ(serving.finished().size(), 2u);
  EXPECT_TRUE(serving.batcher().Abort({last}, "own").empty()) << "it has ended";
  EXPECT_EQ(serving.batcher().counters().aborted, 2);
  serving.ExpectIdle();
}

// What the property test knows of a request.
struct Client {
  std::shared_ptr<CompletionStream> stream;
  std::string tenant;
  std::vector<TestAnswer> answers;  // By choice.
  size_t prompt_logprobs = 0;       // That it asked for.
  bool reads = true;
  bool gone = false;
};

// One random thing that clients do.
void ActAtRandom(TestServing& serving, Random& random, std::map<std::string, Client>& clients) {
  const auto any = [&]() -> std::pair<const std::string, Client>& {
    return *std::next(clients.begin(), random.Below(static_cast<int64_t>(clients.size())));
  };
  const int64_t act = random.Below(10);
  if (act < 5 || clients.empty()) {
    CompletionRequest request =
        serving.Request(1 + random.Below(90), random.Below(8) > 0 ? 1 + random.Below(12) : 150,
                        random.Next() % 1'000'000);
    if (clients.contains(request.request_id)) return;
    // Some are one of three prompts, cut somewhere.
    if (random.Below(2) == 0) {
      const uint64_t family = static_cast<uint64_t>(1 + random.Below(3));
      request.prompt_tokens = serving.Request(200, 1, family).prompt_tokens;
      request.prompt_tokens.resize(static_cast<size_t>(1 + random.Below(200)));
    }
    request.no_train = random.Below(8) == 0;
    request.tenant = std::string(1, static_cast<char>('a' + random.Below(3)));
    request.priority = static_cast<int32_t>(random.Below(3)) - 1;
    request.choices = 1 + std::max<int64_t>(0, random.Below(6) - 3);
    Client client;
    if (random.Below(8) == 0) {
      request.prompt_logprobs = 1;
      client.prompt_logprobs = request.prompt_tokens.size() - 1;
    }
    client.answers.resize(request.choices);
    client.stream = std::make_shared<CompletionStream>(request.choices);
    client.tenant = request.tenant;
    const std::string id = request.request_id;
    if (serving.batcher().Add(std::move(request), client.stream).ok()) clients[id] = client;
  } else if (act < 6) {
    Client& client = any().second;
    client.stream->Cancel();
    client.gone = true;
  } else if (act < 7) {
    auto& [id, client] = any();
    serving.batcher().Abort({id}, client.tenant);
  } else {
    any().second.reads = act < 9;
  }
}

// Reads what came, and drops clients that have their end.
void ReadAnswers(std::map<std::string, Client>& clients, int64_t* ended) {
  for (auto& [id, client] : clients) {
    if (client.reads) TestServing::DrainChoices(*client.stream, client.answers);
  }
  *ended += static_cast<int64_t>(std::erase_if(clients, [](const auto& entry) {
    const Client& client = entry.second;
    bool ended = true, failed = false;
    for (const TestAnswer& answer : client.answers) {
      ended = ended && answer.ends > 0;
      failed = failed || !answer.end.status.ok();
    }
    if (ended && !failed) {
      EXPECT_EQ(client.answers[0].prompt_logprobs.logprobs.size(), client.prompt_logprobs);
    }
    return client.gone || ended || failed;
  }));
}

// Steps of random traffic over few pages: no page is lost or owned twice, and every request ends.
void RunRandomTraffic(RecordMode record, int64_t steps) {
  TestServingOptions options = Options(9, record);
  options.record_pages = 600;
  options.batcher.running_max = 6;
  options.batcher.waiting_max = 8;
  options.batcher.scheduler.rows_per_step = 48;
  TestServing serving(options);
  Random random(7);
  std::map<std::string, Client> clients;
  int64_t accepted = 0, ended = 0;
  for (int64_t step = 0; step < steps; ++step) {
    if (random.Below(3) == 0) {
      const size_t before = clients.size();
      ActAtRandom(serving, random, clients);
      accepted += static_cast<int64_t>(clients.size() - before);
    }
    serving.clock().AdvanceUs(100'000);  // A reader that stopped is given up after 300 steps.
    serving.batcher().RunStep();
    serving.batcher().CheckInvariants();
    ReadAnswers(clients, &ended);
    serving.finished().clear();
  }
  for (auto& [id, client] : clients) client.reads = true;
  while (serving.batcher().RunStep() ||
         serving.batcher().running() + serving.batcher().waiting() > 0) {
    ReadAnswers(clients, &ended);
  }
  ReadAnswers(clients, &ended);
  EXPECT_TRUE(clients.empty()) << clients.size() << " requests never ended";
  EXPECT_EQ(ended, accepted);
  EXPECT_GT(accepted, steps / 50);
  const Batcher::Counters& counters = serving.batcher().counters();
  EXPECT_GT(counters.preempted, steps / 2'000);
  EXPECT_GT(counters.refused, steps / 1'000);
  EXPECT_GT(counters.prefix_tokens, steps / 10);
  EXPECT_EQ(counters.answers_recorded > 0, record == RecordMode::kAll);
  serving.ExpectIdle();
  serving.store().EvictOlderThan(INT64_MAX);
  EXPECT_EQ(serving.store().ledger().records, 0) << "somebody holds a record";
}

TEST(BatcherSchedulingTest, RandomTrafficLosesNoPageAndNoRequest) {
  RunRandomTraffic(RecordMode::kPrefill, 100'000);
}

TEST(BatcherSchedulingTest, NorWhenAnswersAreRecordedToo) {
  RunRandomTraffic(RecordMode::kAll, 30'000);
}

}  // namespace
}  // namespace alchemist
