// Replays the corpus of a target, ALCHEMIST_CORPUS, and a fixed number of simple changes of its
// files. Inputs that a fuzzer found stay in the corpus and so become ordinary tests.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

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

TEST(CorpusTest, ChangedInputsEndInAnAnswerToo) {
  const auto by_name = Corpus();
  std::vector<std::string> inputs;
  for (const auto& [name, input] : by_name) inputs.push_back(input);
  const auto any = [&](Random& random) { return inputs[random.Below(inputs.size())]; };
  Random random(1);
  int taken = 0;
  for (int run = 0; run < kChangedInputs; ++run) {
    std::string input = any(random);
    for (int64_t changes = random.Below(3); changes >= 0; --changes) {
      input = Changed(std::move(input), any(random), random);
    }
    taken += TakesInput(input);
  }
  EXPECT_GT(taken, 0) << "the changes are not too wild to get past the first checks";
}

}  // namespace
}  // namespace alchemist
