#include "kernels/embedding.h"

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/stream.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

constexpr int64_t kVocab = 50;
constexpr int64_t kRows = 300;   // Every token occurs several times.
constexpr int64_t kWidth = 150;  // More than one tile of columns.

std::vector<int32_t> SomeTokens(Random* random) {
  std::vector<int32_t> tokens(kRows);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random->Below(kVocab));
  return tokens;
}

TEST(EmbeddingTest, ForwardCopiesTheTokensRows) {
  Random random(1);
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const std::vector<int32_t> tokens = SomeTokens(&random);
  const TestMatrix table = TestMatrix::Normal(kVocab, kWidth, &random);
  TestMatrix x(kRows, kWidth);
  EmbeddingForward(tokens, table.view(), x.view(), stream);
  for (int64_t row = 0; row < kRows; ++row) {
    ExpectSameBits("row", x.values().subspan(row * kWidth, kWidth),
                   table.values().subspan(tokens[row] * kWidth, kWidth));
  }
}

// The order of the sums is promised, so that the plain loop is the wanted bits.
TEST(EmbeddingTest, BackwardAddsRowsInOrderForEveryCut) {
  Random random(2);
  const std::vector<int32_t> tokens = SomeTokens(&random);
  const TestMatrix dx = TestMatrix::Normal(kRows, kWidth, &random);
  const TestMatrix before = TestMatrix::Normal(kVocab, kWidth, &random);
  TestMatrix wanted = before.Copy();
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t i = 0; i < kWidth; ++i) wanted.Row(tokens[row])[i] += dx.Row(row)[i];
  }
  ForEachCut(kRows, [&](const std::vector<RowCut>& cut, Stream& stream) {
    TestMatrix dtable = before.Copy();
    for (const auto& [first, count] : cut) {
      EmbeddingBackward(absl::MakeConstSpan(tokens).subspan(first, count),
                        dx.view().Rows(first, count), dtable.view(), stream);
    }
    ExpectSameBits("dtable", dtable.values(), wanted.values());
  });
}

TEST(EmbeddingDeathTest, TokensMustBeOfTheTable) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  TestMatrix table(3, 2);
  TestMatrix x(1, 2);
  EXPECT_DEATH(EmbeddingForward({3}, table.view(), x.view(), stream), "no row 3 of 3");
  EXPECT_DEATH(EmbeddingBackward({3}, x.view(), table.view(), stream), "token 3 of 3");
}

}  // namespace
}  // namespace alchemist
