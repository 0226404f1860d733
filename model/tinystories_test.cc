// A real model's real weights: greedy text by prefill and decode, and logits against plain loops in
// double. ALCHEMIST_DATA names the folder of real data.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"
#include "model/model.h"
#include "model/pass_testing.h"
#include "model/reference_model.h"
#include "model/tokenizer.h"

namespace alchemist {
namespace {

template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  CHECK(value.ok()) << value.status();
  return *std::move(value);
}

int32_t Argmax(absl::Span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

class TinyStoriesTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* const data = std::getenv("ALCHEMIST_DATA");
    if (data == nullptr) GTEST_SKIP() << "ALCHEMIST_DATA is not set";
    const std::string directory = std::string(data) + "/models/tinystories-656K";
    model_ = ValueOrDie(Model::Load(directory, DType::kF32));
    bf16_ = ValueOrDie(Model::Load(directory, DType::kBf16));
    tokenizer_ = ValueOrDie(Tokenizer::Load(directory));
    const std::string path = directory + "/golden.json";
    golden_ = ValueOrDie(ParseJson(ValueOrDie(ReadFile(path, 1 << 20)), path));
  }

  // Of every position: by the passes, by plain loops in the model's type, and in double.
  struct Logits {
    std::vector<float> got, naive;
    std::vector<double> reference;
  };
  Logits LogitsOf(const Model& model, const std::vector<int32_t>& ids) {
    TestNode text = {-1, ids, {}, nullptr};
    for (size_t row = 0; row < ids.size(); ++row) text.head_rows.push_back(row);
    TestForest forest(model, {text}, &machine_);
    forest.Forward(0);
    return {forest.Logits(0), ReferenceModel<float>(model, nullptr).Logits(ids).values,
            ReferenceModel<double>(model, nullptr).Logits(ids).values};
  }

  // `prompt`, prefilled, and what greedy decoding adds up to `length` tokens.
  std::vector<int32_t> Greedy(const std::vector<int32_t>& prompt, int64_t length) {
    const int64_t prompt_length = static_cast<int64_t>(prompt.size());
    TestNode first = {-1, prompt, {static_cast<int32_t>(prompt_length - 1)}, nullptr};
    std::vector<TestNode> nodes = {first};
    for (int64_t i = prompt_length; i < length - 1; ++i) {
      nodes.push_back({static_cast<int>(nodes.size()) - 1, {0}, {0}, nullptr});
    }
    TestForest forest(*model_, nodes, &machine_);
    forest.ForwardTogether(0, 1);
    std::vector<int32_t> ids = prompt;
    ids.push_back(Argmax(forest.Logits(0)));
    for (int node = 1; static_cast<int64_t>(ids.size()) < length; ++node) {
      forest.SetTokens(node, {ids.back()});
      forest.ForwardTogether(node, node + 1, RowPhase::kDecode);
      ids.push_back(Argmax(forest.Logits(node)));
    }
    return ids;
  }

  std::unique_ptr<const Model> model_;
  std::unique_ptr<const Model> bf16_;  // The same weights, rounded.
  std::unique_ptr<const Tokenizer> tokenizer_;
  nlohmann::json golden_;
  TestMachine machine_;
};

TEST_F(TinyStoriesTest, GreedyIdsAndTextAreTheGoldens) {
  for (const nlohmann::json& story : golden_["cases"]) {
    const auto prompt = story["prompt_ids"].get<std::vector<int32_t>>();
    const auto wanted = story["ids"].get<std::vector<int32_t>>();
    const std::vector<int32_t> ids = Greedy(prompt, static_cast<int64_t>(wanted.size()));
    EXPECT_EQ(ids, wanted);
    EXPECT_EQ(tokenizer_->Decode(ids, /*skip_special_tokens=*/true),
              story["text"].get<std::string>());
    EXPECT_EQ(ValueOrDie(tokenizer_->Encode(story["prompt"].get<std::string>(), true)), prompt);
  }
}

TEST_F(TinyStoriesTest, LogitsAreThoseOfPlainLoops) {
  for (const nlohmann::json& story : golden_["cases"]) {
    const Logits logits = LogitsOf(*model_, story["ids"].get<std::vector<int32_t>>());
    ExpectWithinTwiceNaive("logits", logits.got, logits.naive, logits.reference);

    // The golden's own numbers have five digits after the point.
    const auto head = story["pos0_logits_head"].get<std::vector<double>>();
    double naive_error = 0;
    for (size_t i = 0; i < head.size(); ++i) {
      naive_error = std::max(naive_error, std::abs(logits.naive[i] - logits.reference[i]));
    }
    for (size_t i = 0; i < head.size(); ++i) {
      EXPECT_NEAR(logits.got[i], head[i], 0.5e-5 + 2 * naive_error) << i;
    }
  }
}

TEST_F(TinyStoriesTest, LogitsInBf16AreThoseOfPlainLoops) {
  for (const nlohmann::json& story : golden_["cases"]) {
    const Logits logits = LogitsOf(*bf16_, story["ids"].get<std::vector<int32_t>>());
    ExpectWithinTwiceNaive("logits", logits.got, logits.naive, logits.reference);
  }
}

}  // namespace
}  // namespace alchemist
