// Prompts that go on from recorded prefixes: the same bits as if they had been run from the start.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "model/reference_model.h"
#include "server/batcher.h"
#include "server/batcher_testing.h"

namespace alchemist {
namespace {

constexpr int64_t kAnswerTokens = 6;

// Prompts of one conversation: each begins as the one before it, with more behind.
std::vector<std::vector<int32_t>> Conversation(const TestServing& serving) {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<int32_t> so_far;
  for (const int64_t more : {70, 90, 33, 64, 1}) {
    const std::vector<int32_t> turn = serving.Request(more, 1, 5 + prompts.size()).prompt_tokens;
    so_far.insert(so_far.end(), turn.begin(), turn.end());
    prompts.push_back(so_far);
  }
  return prompts;
}

struct Turn {
  TestAnswer answer;
  std::map<std::string, std::string> record;
};

CompletionRequest RequestOf(const TestServing& serving, const std::vector<int32_t>& prompt) {
  CompletionRequest request = serving.Request(1, kAnswerTokens);
  request.prompt_tokens = prompt;
  return request;
}

std::vector<Turn> ServeConversation(TestServingOptions options, bool prefix_cache) {
  options.batcher.prefix_cache = prefix_cache;
  TestServing serving(options);
  std::vector<Turn> turns;
  for (const std::vector<int32_t>& prompt : Conversation(serving)) {
    const auto stream = serving.Add(RequestOf(serving, prompt));
    serving.RunAll();
    turns.push_back({TestServing::AnswerOf(*stream), {}});
    const uint64_t record = serving.finished().back().record_id;
    if (record != 0) turns.back().record = serving.RecordBytes(record);
  }
  serving.ExpectIdle();
  return turns;
}

TEST(BatcherPrefixTest, AHitHasTheBitsOfAMiss) {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    for (const int64_t rows_per_step : {1, 64, 512}) {
      TestServingOptions options;
      options.dtype = dtype;
      options.record_pages = 32'768;  // Steps of one row take a page for every tensor.
      options.batcher.scheduler.rows_per_step = rows_per_step;
      const std::vector<Turn> misses = ServeConversation(options, /*prefix_cache=*/false);
      const std::vector<Turn> hits = ServeConversation(options, /*prefix_cache=*/true);
      const int64_t cached[] = {0, 64, 128, 192, 256};
      for (size_t i = 0; i < hits.size(); ++i) {
        const std::string what = absl::StrCat("turn ", i, " in steps of ", rows_per_step);
        EXPECT_EQ(misses[i].answer.end.cached_tokens, 0) << what;
        EXPECT_EQ(hits[i].answer.end.cached_tokens, cached[i]) << what;
        EXPECT_EQ(hits[i].answer.tokens, misses[i].answer.tokens) << what;
        ExpectSameBits(what.c_str(), hits[i].answer.log_probs, misses[i].answer.log_probs);
        ASSERT_EQ(hits[i].record.size(), misses[i].record.size()) << what;
        for (const auto& [tensor, bytes] : misses[i].record) {
          EXPECT_TRUE(hits[i].record.at(tensor) == bytes) << what << ", " << tensor;
        }
      }
    }
  }
}

// Pages of a store that could record `rows` tokens, and few more.
int64_t RecordPagesFor(int64_t rows) {
  TestServing serving;
  serving.Add(serving.Request(rows, 1));
  serving.RunAll();
  const ActivationStore::Ledger ledger = serving.store().ledger();
  return (ledger.block_bytes + ledger.record_kv_bytes) / 4096;
}

// It would evict everything, and then not fit all the same.
TEST(BatcherPrefixTest, APromptThatCannotBeRecordedEvictsNothing) {
  TestServingOptions options;
  options.record_pages = RecordPagesFor(300);
  options.batcher.scheduler.rows_per_step = 64;
  TestServing serving(options);
  serving.Add(serving.Request(70, 2));
  serving.RunAll();
  const uint64_t small = serving.finished().back().record_id;
  ASSERT_TRUE(serving.store().Holds(small));
  serving.Add(serving.Request(400, 2, 2));
  serving.RunAll();
  EXPECT_EQ(serving.finished().back().record_id, 0u);
  EXPECT_EQ(serving.batcher().counters().unrecorded, 1);
  EXPECT_TRUE(serving.store().Holds(small));
  EXPECT_EQ(serving.store().ledger().evictions, 0);
  serving.ExpectIdle();
}

// Each alone would fit. The longer one gives way, and at once: its K/V is all that it keeps.
TEST(BatcherPrefixTest, OfTwoPromptsThatDoNotFitTogetherTheShorterIsRecorded) {
  TestServingOptions options;
  options.record_pages = RecordPagesFor(300);
  options.batcher.scheduler.rows_per_step = 200;
  TestServing serving(options);
  ActivationStore& store = serving.store();
  const uint64_t first = store.Begin({}, {}, 0);
  ASSERT_TRUE(store.AppendKvPages(first, 70));
  const uint64_t second = store.Begin({}, {}, 0);
  int64_t rows = 400;
  while (!store.CouldRecord(second, rows)) --rows;
  store.Abort(second);
  store.Abort(first);
  ASSERT_LT(rows, 400);
  serving.Add(serving.Request(70, 30));
  serving.Add(serving.Request(rows, 30, 2));
  ASSERT_TRUE(serving.batcher().RunStep());
  EXPECT_EQ(store.ledger().records, 2);
  const int64_t bytes_of_both = store.ledger().block_bytes;
  for (int step = 0; step < 5; ++step) ASSERT_TRUE(serving.batcher().RunStep());
  EXPECT_EQ(store.ledger().records, 2);
  EXPECT_LT(store.ledger().block_bytes, bytes_of_both) << "what the longer had was given back";
  store.CheckInvariants();
  serving.RunAll();
  ASSERT_EQ(serving.finished().size(), 2u);
  for (const FinishedCompletion& finished : serving.finished()) {
    const bool is_short = finished.row.prompt_tokens.size() == 70;
    EXPECT_EQ(finished.record_id != 0, is_short) << finished.row.prompt_tokens.size();
  }
  serving.ExpectIdle();
}

// log pi of each answer token after `prompt`, and how far the most probable one is ahead of the
// next.
struct ReferenceAnswer {
  std::vector<double> log_probs, margins;
};

template <typename T>
ReferenceAnswer ReferenceOf(const TestServing& serving, const std::vector<int32_t>& prompt,
                            const std::vector<int32_t>& answer) {
  const ReferenceModel<T> model(serving.model(), serving.revision()->adapter.get());
  std::vector<int32_t> tokens = prompt;
  tokens.insert(tokens.end(), answer.begin(), answer.end());
  const ReferenceTensor<T> logits = model.Logits(tokens);
  ReferenceAnswer reference;
  for (size_t i = 0; i < answer.size(); ++i) {
    const T* const row = logits.Row(static_cast<int64_t>(prompt.size() + i) - 1);
    std::vector<double> values(row, row + logits.width);
    const double own = values[answer[i]];
    std::sort(values.begin(), values.end(), std::greater<>());
    double sum = 0;
    for (const double value : values) sum += std::exp(value - values[0]);
    reference.log_probs.push_back(own - values[0] - std::log(sum));
    reference.margins.push_back(values[0] - values[1]);
  }
  return reference;
}

double LargestError(const std::vector<float>& got, const std::vector<double>& wanted) {
  double largest = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    largest = std::max(largest, std::abs(got[i] - wanted[i]));
  }
  return largest;
}

// With record=all a prompt goes on from an earlier answer, whose rows were decode rows. What comes
// out is as good as from prompt rows: at most twice as far from plain loops in double as plain
// loops in the same type are.
TEST(BatcherPrefixTest, AHitOnAnEarlierAnswerIsAsGoodAsAMiss) {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    TestServingOptions options;
    options.dtype = dtype;
    options.record_pages = 16'384;
    options.batcher.record = RecordMode::kAll;
    TestServing serving(options);
    CompletionRequest request = serving.Request(70, 60);
    const auto first = serving.Add(request);
    serving.RunAll();
    const std::vector<int32_t> answer = TestServing::AnswerOf(*first).tokens;
    const std::vector<int32_t> more = serving.Request(20, 1, 3).prompt_tokens;
    request.prompt_tokens.insert(request.prompt_tokens.end(), answer.begin(), answer.end());
    request.prompt_tokens.insert(request.prompt_tokens.end(), more.begin(), more.end());
    request.max_tokens = 30;
    const auto next = serving.Add(request);
    serving.RunAll();
    const TestAnswer hit = TestServing::AnswerOf(*next);
    EXPECT_EQ(hit.end.cached_tokens, 128) << "58 of them are the answer's";

    options.batcher.prefix_cache = false;
    TestServing without(options);
    const auto again = without.Add(request);
    without.RunAll();
    const TestAnswer miss = TestServing::AnswerOf(*again);
    const auto wanted = ReferenceOf<double>(serving, request.prompt_tokens, hit.tokens);
    const auto naive = ReferenceOf<float>(serving, request.prompt_tokens, hit.tokens);
    std::vector<float> naive_log_probs(naive.log_probs.begin(), naive.log_probs.end());
    const double bound = 2 * LargestError(naive_log_probs, wanted.log_probs);
    EXPECT_GT(bound, 0);
    EXPECT_LE(LargestError(hit.log_probs, wanted.log_probs), bound) << DTypeName(dtype);
    for (size_t i = 0; i < hit.tokens.size() && hit.tokens[i] == miss.tokens[i]; ++i) {
      if (i + 1 == hit.tokens.size() || hit.tokens[i + 1] == miss.tokens[i + 1]) continue;
      EXPECT_LE(wanted.margins[i + 1], 2 * bound) << "another greedy token, though it was clear";
    }
  }
}

TEST(BatcherPrefixTest, TheSamePromptAgainRunsItsLastBlockAlone) {
  TestServing serving;
  const CompletionRequest request = serving.Request(128, 2);
  serving.Add(request);
  serving.RunAll();
  serving.Add(request);
  serving.RunAll();
  EXPECT_EQ(serving.batcher().counters().prompt_tokens, 256);
  EXPECT_EQ(serving.batcher().counters().prefix_tokens, 64) << "its last token is always run";
  EXPECT_EQ(serving.batcher().counters().recorded, 2);
}

TEST(BatcherPrefixTest, NothingIsSharedBetweenTenantsOrRevisions) {
  TestServing serving;
  CompletionRequest request = serving.Request(130, 2);
  const auto cached = [&] {
    const auto stream = serving.Add(request);
    serving.RunAll();
    return TestServing::AnswerOf(*stream).end.cached_tokens;
  };
  EXPECT_EQ(cached(), 0);
  EXPECT_EQ(cached(), 128);
  request.tenant = "other";
  EXPECT_EQ(cached(), 0);
  request.tenant = "";
  const auto before = serving.revision();
  serving.Serve(serving.MakeRevision(1));
  EXPECT_EQ(cached(), 0);
  EXPECT_EQ(cached(), 128);
  serving.Serve(before);
  EXPECT_EQ(cached(), 128) << "a session that stayed at the old one still hits";
}

TEST(BatcherPrefixTest, ARequestThatIsNotTrainedLeavesNothingAndMayUseWhatIsThere) {
  TestServing serving;
  CompletionRequest request = serving.Request(140, 4);
  request.no_train = true;
  const auto alone = serving.Add(request);
  serving.RunAll();
  EXPECT_TRUE(serving.finished().empty()) << "not logged";
  EXPECT_EQ(serving.store().ledger().records, 0);
  EXPECT_EQ(serving.store().ledger().record_kv_bytes, 0);
  request.no_train = false;
  serving.Add(request);
  serving.RunAll();
  EXPECT_EQ(serving.finished().size(), 1u);
  request.no_train = true;
  const auto hit = serving.Add(request);
  serving.RunAll();
  const TestAnswer wanted = TestServing::AnswerOf(*alone);
  const TestAnswer got = TestServing::AnswerOf(*hit);
  EXPECT_EQ(got.end.cached_tokens, 128);
  EXPECT_FALSE(got.end.recorded);
  EXPECT_EQ(got.tokens, wanted.tokens);
  ExpectSameBits("log-probs", got.log_probs, wanted.log_probs);
  EXPECT_EQ(serving.store().ledger().records, 1);
  EXPECT_EQ(serving.store().EvictOlderThan(INT64_MAX), 1) << "nobody holds it any more";
  serving.ExpectIdle();
}

TEST(BatcherPrefixTest, ARunningRequestKeepsThePrefixThatItReads) {
  TestServing serving;
  CompletionRequest request = serving.Request(140, 20);
  serving.Add(request);
  serving.RunAll();
  const auto wanted = serving.Add(request);
  serving.RunAll();
  request.no_train = true;
  const auto stream = serving.Add(request);
  ASSERT_TRUE(serving.batcher().RunStep());
  serving.store().EvictOlderThan(INT64_MAX);
  EXPECT_GE(serving.store().ledger().records, 1);
  // Others fill the store while it runs.
  for (uint64_t seed = 2; seed < 40; ++seed) serving.Add(serving.Request(200, 1, seed));
  serving.RunAll();
  EXPECT_EQ(TestServing::AnswerOf(*stream).tokens, TestServing::AnswerOf(*wanted).tokens);
  serving.ExpectIdle();
}

}  // namespace
}  // namespace alchemist
