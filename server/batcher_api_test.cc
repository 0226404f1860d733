// What a request may ask for beyond one plain answer: several choices, log-probs of the prompt,
// alternatives, and what ends an answer.
#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/log_prob.h"
#include "kernels/testing.h"
#include "model/pass_testing.h"
#include "server/batcher.h"
#include "server/batcher_testing.h"
#include "server/token_choice.h"

namespace alchemist {
namespace {

constexpr RecordMode kRecordModes[] = {RecordMode::kOff, RecordMode::kPrefill, RecordMode::kAll};
constexpr int64_t kChoices = 3;

CompletionRequest SampledRequest(const TestServing& serving, int64_t rows, int64_t choices) {
  CompletionRequest request = serving.Request(rows, 20);
  request.sampling.temperature = 1;
  request.seed = 17;
  request.choices = choices;
  return request;
}

std::shared_ptr<CompletionStream> AddChoices(TestServing& serving, CompletionRequest request) {
  auto stream = std::make_shared<CompletionStream>(request.choices);
  const absl::Status added = serving.batcher().Add(std::move(request), stream);
  EXPECT_TRUE(added.ok()) << added;
  return stream;
}

// Reads while it runs, since one stream holds no more than a few chunks of each choice.
std::vector<TestAnswer> ServeChoices(TestServing& serving, const CompletionRequest& request) {
  const auto stream = AddChoices(serving, request);
  std::vector<TestAnswer> answers(request.choices);
  do {
    TestServing::DrainChoices(*stream, answers);
  } while (serving.batcher().RunStep());
  TestServing::DrainChoices(*stream, answers);
  return answers;
}

TEST(BatcherApiTest, EachChoiceIsTheAnswerToItsOwnSeed) {
  for (const RecordMode record : kRecordModes) {
    for (const int64_t rows : {1, 32, 70}) {
      for (const int64_t kv_pages : {100, 4}) {  // Few: they do not run at once.
        TestServingOptions options;
        options.batcher.record = record;
        options.serving_kv_pages = 3 * kv_pages;
        TestServing serving(options);
        const auto answers = ServeChoices(serving, SampledRequest(serving, rows, kChoices));
        std::set<std::string> ids, answers_seen;
        for (int64_t choice = 0; choice < kChoices; ++choice) {
          const std::string what = absl::StrCat("choice ", choice, " of ", rows, " rows, record ",
                                                static_cast<int>(record), ", ", kv_pages, " pages");
          TestServing alone;
          CompletionRequest request = SampledRequest(alone, rows, 1);
          request.seed += static_cast<uint64_t>(choice);
          const TestAnswer wanted = ServeChoices(alone, request)[0];
          EXPECT_EQ(answers[choice].tokens, wanted.tokens) << what;
          EXPECT_EQ(answers[choice].text, wanted.text) << what;
          ExpectSameBits(what.c_str(), answers[choice].log_probs, wanted.log_probs);
          EXPECT_EQ(answers[choice].ends, 1) << what;
          EXPECT_EQ(answers[choice].end.recorded, record != RecordMode::kOff) << what;
          ids.insert(answers[choice].end.completion_id);
          answers_seen.insert(answers[choice].text);
        }
        EXPECT_EQ(ids.size(), static_cast<size_t>(kChoices)) << "each has its own";
        EXPECT_EQ(answers_seen.size(), static_cast<size_t>(kChoices)) << "as random as they are";
        serving.ExpectIdle();
      }
    }
  }
}

TEST(BatcherApiTest, ChoicesShareOnePromptRecord) {
  for (const RecordMode record : {RecordMode::kPrefill, RecordMode::kAll}) {
    TestServingOptions options;
    options.batcher.record = record;
    TestServing serving(options);
    ServeChoices(serving, SampledRequest(serving, 70, kChoices));
    std::set<uint64_t> prompts, responses;
    for (const FinishedCompletion& finished : serving.finished()) {
      prompts.insert(finished.record_id);
      if (finished.response_record_id != 0) responses.insert(finished.response_record_id);
    }
    EXPECT_EQ(serving.finished().size(), static_cast<size_t>(kChoices));
    EXPECT_EQ(prompts.size(), 1u);
    EXPECT_EQ(responses.size(), record == RecordMode::kAll ? kChoices : 0u);
    EXPECT_EQ(serving.batcher().counters().recorded, 1);
    EXPECT_EQ(serving.batcher().counters().prompt_tokens, 70);
    const auto& ledger = serving.store().ledger();
    EXPECT_EQ(ledger.records, 1 + static_cast<int64_t>(responses.size()));
    serving.store().EvictOlderThan(INT64_MAX);
    EXPECT_EQ(serving.store().ledger().records, 0) << "nobody holds them any more";
  }
}

TEST(BatcherApiTest, AllChoicesOfARequestEndWithIt) {
  for (const bool abort : {false, true}) {
    TestServing serving;
    const CompletionRequest request = SampledRequest(serving, 40, kChoices);
    const auto stream = AddChoices(serving, request);
    for (int step = 0; step < 3; ++step) ASSERT_TRUE(serving.batcher().RunStep());
    ASSERT_EQ(serving.batcher().running(), kChoices);
    if (abort) {
      EXPECT_EQ(serving.batcher().Abort({request.request_id}, ""),
                std::vector<std::string>{request.request_id});
    } else {
      stream->Cancel();
    }
    EXPECT_FALSE(serving.batcher().RunStep());
    serving.ExpectIdle();
    serving.store().EvictOlderThan(INT64_MAX);
    EXPECT_EQ(serving.store().ledger().records, 0);
  }
}

// Abort comes between the layers of the very step that ends the prompt.
TEST(BatcherApiTest, ChoicesThatAreSplitOffAfterAnAbortEndToo) {
  TestServing serving;
  const CompletionRequest request = SampledRequest(serving, 40, kChoices);
  const auto stream = AddChoices(serving, request);
  serving.poll = [&] { serving.batcher().Abort({request.request_id}, ""); };
  ASSERT_TRUE(serving.batcher().RunStep());
  serving.poll = [] {};
  EXPECT_EQ(serving.batcher().waiting(), kChoices - 1);
  EXPECT_FALSE(serving.batcher().RunStep());
  serving.ExpectIdle();
  EXPECT_TRUE(serving.finished().empty());
}

TEST(BatcherApiTest, EveryChoiceTakesAPlaceOfTheQueue) {
  TestServingOptions options;
  options.batcher.waiting_max = 8;
  TestServing serving(options);
  const auto add = [&](int64_t choices) {
    return serving.batcher()
        .Add(SampledRequest(serving, 10, choices), std::make_shared<CompletionStream>(choices))
        .code();
  };
  EXPECT_EQ(add(kChoicesMax), absl::StatusCode::kOk) << "an empty queue takes any request";
  EXPECT_EQ(add(1), absl::StatusCode::kResourceExhausted);
  serving.RunAll();
  EXPECT_EQ(add(5), absl::StatusCode::kOk);
  EXPECT_EQ(add(4), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(add(3), absl::StatusCode::kOk);
}

TEST(BatcherApiTest, ALengthThatIsAskedForIsNoMatterOfForecast) {
  TestServingOptions options;
  options.batcher.record = RecordMode::kOff;
  options.serving_kv_pages = 3 * 6;
  TestServing serving(options);
  for (int64_t i = 0; i < LengthForecast::kLengthsMin; ++i) {  // It expects short answers.
    serving.Add(serving.Request(1, 2));
    serving.RunAll();
  }
  CompletionRequest request = serving.Request(1, 150);  // 5 of the 6 pages.
  for (const bool min_tokens : {true, false}) {
    request.ignore_eos = !min_tokens;
    request.min_tokens = min_tokens ? 150 : 0;
    for (int i = 0; i < 2; ++i) serving.Add(request);
    ASSERT_TRUE(serving.batcher().RunStep());
    EXPECT_EQ(serving.batcher().running(), 1) << min_tokens;
    serving.batcher().FailAll(absl::CancelledError("enough"));
  }
}

TEST(BatcherApiTest, WhatWasSteeredIsLoggedAsSuch) {
  TestServing serving;
  const auto steered = [&](const std::function<void(CompletionRequest&)>& change) {
    CompletionRequest request = serving.Request(10, 3);
    change(request);
    serving.Add(std::move(request));
    serving.RunAll();
    return serving.finished().back().row.is_steered;
  };
  EXPECT_FALSE(steered([](auto&) {}));
  EXPECT_TRUE(steered([](auto& r) { r.ignore_eos = true; }));
  EXPECT_TRUE(steered([](auto& r) { r.min_tokens = 1; }));
  EXPECT_TRUE(steered([](auto& r) { r.adjustments.presence_penalty = 1; }));
}

TEST(BatcherApiTest, PromptLogprobsAreThoseOfTheForwardPass) {
  constexpr int64_t kRows = 150;
  for (const int64_t rows_per_step : {7, 512}) {
    TestServingOptions options;
    options.batcher.scheduler.rows_per_step = rows_per_step;
    TestServing serving(options);
    CompletionRequest request = serving.Request(kRows, 3);
    serving.Add(request);
    serving.RunAll();  // Its prefix would be found.
    const auto plain = serving.Add(serving.Request(90, 30));
    request.prompt_logprobs = 2;
    const auto scored = serving.Add(request);
    const auto scored_too = serving.Add(request);
    serving.RunAll();
    const TestAnswer answer = TestServing::AnswerOf(*scored);
    EXPECT_EQ(answer.end.cached_tokens, 0);
    EXPECT_FALSE(answer.end.recorded);
    TestMachine machine;
    TestNode node = {-1, request.prompt_tokens, {}, serving.revision()->adapter.get()};
    for (int32_t row = 0; row < kRows; ++row) node.head_rows.push_back(row);
    TestForest forest(serving.model(), {node}, &machine);
    forest.Forward(0);
    const int64_t vocab = serving.model().config().vocab;
    std::vector<float> wanted;
    for (int64_t row = 0; row + 1 < kRows; ++row) {
      const absl::Span<const float> logits(forest.Logits(0).data() + row * vocab, vocab);
      wanted.push_back(static_cast<float>(LogSoftmaxAt(logits, request.prompt_tokens[row + 1])));
      EXPECT_EQ(answer.prompt_logprobs.top.at(row).token_ids, MostProbable(logits, 2).token_ids);
    }
    ExpectSameBits("prompt log-probs", answer.prompt_logprobs.logprobs, wanted);
    ExpectSameBits("beside another", TestServing::AnswerOf(*scored_too).prompt_logprobs.logprobs,
                   wanted);
    EXPECT_TRUE(TestServing::AnswerOf(*plain).prompt_logprobs.logprobs.empty());
    serving.ExpectIdle();
  }
}

TEST(BatcherApiTest, APromptThatIsPreemptedIsScoredOnce) {
  TestServingOptions options;
  options.batcher.record = RecordMode::kOff;
  options.batcher.scheduler.rows_per_step = 3;
  options.serving_kv_pages = 3 * 9;
  TestServing serving(options);
  for (int64_t i = 0; i < LengthForecast::kLengthsMin; ++i) {  // It expects short answers.
    serving.Add(serving.Request(1, 2));
    serving.RunAll();
  }
  const auto grows = serving.Add(serving.Request(31, 60));
  for (int step = 0; step < 15; ++step) ASSERT_TRUE(serving.batcher().RunStep());
  CompletionRequest request = serving.Request(200, 2);
  request.prompt_logprobs = 0;
  const auto scored = serving.Add(request);
  serving.RunAll();
  EXPECT_EQ(serving.batcher().counters().preempted, 1);
  EXPECT_EQ(TestServing::AnswerOf(*scored).prompt_logprobs.logprobs.size(), 199u);
  EXPECT_EQ(TestServing::AnswerOf(*grows).ends, 1);
}

TEST(BatcherApiTest, TheTopOfAGreedyAnswerIsTheAnswer) {
  TestServing serving;
  CompletionRequest request = serving.Request(20, 10);
  request.top_logprobs = 4;
  const auto stream = serving.Add(request);
  serving.RunAll();
  const TestAnswer answer = TestServing::AnswerOf(*stream);
  ASSERT_EQ(answer.top.size(), answer.tokens.size());
  for (size_t i = 0; i < answer.top.size(); ++i) {
    EXPECT_EQ(answer.top[i].token_ids.size(), 4u);
    EXPECT_EQ(answer.top[i].token_ids[0], answer.tokens[i]);
    EXPECT_EQ(answer.top[i].logprobs[0], answer.log_probs[i]);
    EXPECT_TRUE(std::is_sorted(answer.top[i].logprobs.rbegin(), answer.top[i].logprobs.rend()));
  }
}

TEST(BatcherApiTest, WhatEndsAnAnswerIsAsAskedFor) {
  TestServing endless;
  const auto whole = endless.Add(endless.Request(20, 40));
  endless.RunAll();
  const TestAnswer wanted = TestServing::AnswerOf(*whole);
  const int32_t token = wanted.tokens[7];
  const auto first = std::find(wanted.tokens.begin(), wanted.tokens.end(), token);
  TestServingOptions options;
  options.eos_ids = {token};
  TestServing serving(options);
  const auto answer_to = [&](const std::function<void(CompletionRequest&)>& change) {
    CompletionRequest request = serving.Request(20, 40);
    change(request);
    const auto stream = serving.Add(std::move(request));
    serving.RunAll();
    return TestServing::AnswerOf(*stream);
  };
  EXPECT_EQ(answer_to([](auto&) {}).tokens, std::vector<int32_t>(wanted.tokens.begin(), first + 1));
  EXPECT_EQ(answer_to([](auto& r) { r.ignore_eos = true; }).tokens, wanted.tokens);
  const TestAnswer stopped = answer_to([&](auto& r) {
    r.ignore_eos = true;
    r.stop_token_ids = {wanted.tokens[3]};
  });
  EXPECT_EQ(stopped.end.finish_reason, FinishReason::kStop);
  EXPECT_EQ(stopped.tokens.back(), wanted.tokens[3]) << "a stop token is part of the answer";
  EXPECT_LE(stopped.tokens.size(), 4u);
  const TestAnswer longer = answer_to([](auto& r) { r.min_tokens = 30; });
  EXPECT_GE(longer.tokens.size(), 30u);
  EXPECT_EQ(std::find(longer.tokens.begin(), longer.tokens.begin() + 29, token),
            longer.tokens.begin() + 29);
  // A stop string before min_tokens is text like any other.
  const TestAnswer text = answer_to([&](auto& r) {
    r.ignore_eos = true;
    r.min_tokens = 20;
    r.stop = {wanted.text.substr(0, 1)};
  });
  EXPECT_GE(text.tokens.size(), 20u);
}

}  // namespace
}  // namespace alchemist
