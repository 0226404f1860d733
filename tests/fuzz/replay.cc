// Replays the corpus of a target, ALCHEMIST_CORPUS, and simple changes of its files: a fixed number
// of always the same ones, and for 10 s (60 s with ALCHEMIST_LONG) new ones, whose seed is printed.
// Inputs that a fuzzer found stay in the corpus and so become ordinary tests.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "tests/assert_ok.h"
#include "tests/fuzz/fuzz_target.h"

namespace alchemist {
namespace {

constexpr int64_t kInputBytesMax = 4096;
constexpr int kChangedInputs = 2'000;

// By file name.
std::map<std::string, std::string> Corpus() {
  std::map<std::string, std::string> inputs;
  for (const auto& entry : std::filesystem::directory_iterator(std::getenv("ALCHEMIST_CORPUS"))) {
    const auto input = ReadFile(entry.path(), kInputBytesMax);
    EXPECT_OK(input);
    if (input.ok()) inputs[entry.path().filename()] = *input;
  }
  return inputs;
}

// `input` with one small change: a bit, a byte, or a range that is gone, doubled or `other`'s.
std::string Changed(std::string input, const std::string& other, Random& random) {
  if (input.empty()) return other;
  const int64_t size = static_cast<int64_t>(input.size());
  const int64_t at = random.Below(size);
  const int64_t count = 1 + random.Below(std::min<int64_t>(16, size - at));
  switch (random.Below(5)) {
    case 0:
      input[at] = static_cast<char>(input[at] ^ 1 << random.Below(8));
      break;
    case 1:
      input[at] = std::string("\0\xff\x80\x7f\"{}[],:0-9", 15)[random.Below(15)];
      break;
    case 2:
      input.erase(at, count);
      break;
    case 3:
      input.insert(at, input.substr(at, count));
      break;
    default:
      input.replace(at, count, other.substr(0, random.Below(other.size() + 1)));
  }
  return input;
}

TEST(CorpusTest, WhatIsCalledValidIsTakenAndNothingElse) {
  const auto inputs = Corpus();
  EXPECT_GE(inputs.size(), 8u);
  for (const auto& [name, input] : inputs) {
    EXPECT_EQ(TakesInput(input), name.starts_with("valid")) << name;
  }
}

// Tries changed inputs of the corpus.
class Changes {
 public:
  explicit Changes(uint64_t seed) : random_(seed) {
    for (const auto& [name, input] : Corpus()) inputs_.push_back(input);
  }
  // Whether the next one was taken.
  bool TryNext() {
    std::string input = Any();
    for (int64_t changes = random_.Below(3); changes >= 0; --changes) {
      input = Changed(std::move(input), Any(), random_);
    }
    return TakesInput(input);
  }

 private:
  const std::string& Any() { return inputs_[random_.Below(static_cast<int64_t>(inputs_.size()))]; }

  Random random_;
  std::vector<std::string> inputs_;
};

TEST(CorpusTest, ChangedInputsEndInAnAnswerToo) {
  Changes changes(/*seed=*/1);
  int taken = 0;
  for (int run = 0; run < kChangedInputs; ++run) taken += changes.TryNext();
  EXPECT_GT(taken, 0) << "the changes are not too wild to get past the first checks";
}

// What a run shows that no run before it did. A crash says nothing of its input but this seed.
TEST(CorpusTest, NewlyChangedInputsEndInAnAnswerToo) {
  const uint64_t seed = std::random_device()();
  const int64_t us = std::getenv("ALCHEMIST_LONG") != nullptr ? 60'000'000 : 10'000'000;
  std::cout << "seed " << seed << std::endl;
  Changes changes(seed);
  int64_t tried = 0;
  const int64_t end_us = Clock::Real()->MonotonicUs() + us;
  for (; Clock::Real()->MonotonicUs() < end_us; ++tried) changes.TryNext();
  std::cout << tried << " inputs" << std::endl;
  EXPECT_GT(tried, 0);
}

}  // namespace
}  // namespace alchemist
