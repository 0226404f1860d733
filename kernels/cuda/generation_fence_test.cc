// One page whose content is another's poisons the step, and nothing else does.
#include "kernels/cuda/generation_fence.h"

#include <numeric>

#include "gtest/gtest.h"
#include "kernels/cuda/testing.h"

namespace alchemist {
namespace {

constexpr uint32_t kPages = 1000;  // Of the arena.
constexpr uint32_t kCount = 600;   // Of which these are read: more than two blocks of threads.

class GenerationFenceTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (HasFatalFailure()) return;  // There is no device.
    auto fence = GenerationFence::Load(device_.get());
    ASSERT_TRUE(fence.ok()) << fence.status();
    fence_ = *std::move(fence);
    memory_ = Allocate(kPages * 8 + kCount * 8 + kCount * 4 + 4);
    generations_ = AddressOf(memory_);
    expected_ = generations_ + kPages * 8;
    pages_ = expected_ + kCount * 8;
    poison_ = pages_ + kCount * 4;
    std::vector<uint64_t> generations(kPages);
    std::iota(generations.begin(), generations.end(), uint64_t{1} << 40);
    std::vector<uint64_t> expected;
    std::vector<uint32_t> pages;
    for (uint32_t i = 0; i < kCount; ++i) {
      pages.push_back(i * 7 % kPages);
      expected.push_back(generations[pages[i]]);
    }
    Write<uint64_t>(generations_, generations);
    Write<uint64_t>(expected_, expected);
    Write<uint32_t>(pages_, pages);
  }

  uint32_t PoisonAfterCheck(uint32_t count) {
    const absl::Status checked =
        fence_.Check(generations_, pages_, expected_, count, poison_, stream_);
    EXPECT_TRUE(checked.ok()) << checked;
    return Read<uint32_t>(poison_, 1)[0];
  }
  // What the page that is read as `i`-th has become.
  void SetGeneration(uint32_t i, uint64_t generation) {
    Write<uint64_t>(generations_ + i * 7 % kPages * 8, {generation});
  }
  uint64_t Expected(uint32_t i) { return Read<uint64_t>(expected_ + i * 8, 1)[0]; }

  GenerationFence fence_;
  Buffer memory_;
  uint64_t generations_ = 0;
  uint64_t expected_ = 0;
  uint64_t pages_ = 0;
  uint64_t poison_ = 0;
};

TEST_F(GenerationFenceTest, RightGenerationsDoNotPoison) {
  EXPECT_EQ(PoisonAfterCheck(kCount), 0U);
  EXPECT_EQ(PoisonAfterCheck(0), 0U);
}

TEST_F(GenerationFenceTest, OneWrongGenerationPoisonsWhereverItIs) {
  for (const uint32_t i : {0U, 255U, 256U, 300U, kCount - 1}) {
    SetGeneration(i, Expected(i) + 1);
    EXPECT_EQ(PoisonAfterCheck(kCount), 1U) << i;
    SetGeneration(i, Expected(i));
    EXPECT_EQ(PoisonAfterCheck(kCount), 1U) << "poison is not taken back";
    Write<uint32_t>(poison_, {0});
    EXPECT_EQ(PoisonAfterCheck(kCount), 0U) << i;
  }
}

TEST_F(GenerationFenceTest, AllBitsOfAGenerationCount) {
  for (const uint64_t bit : {uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 63}) {
    SetGeneration(1, Expected(1) ^ bit);
    EXPECT_EQ(PoisonAfterCheck(kCount), 1U) << bit;
    Write<uint32_t>(poison_, {0});
  }
}

TEST_F(GenerationFenceTest, PagesThatAreNotReadDoNotCount) {
  SetGeneration(kCount - 1, 0);
  EXPECT_EQ(PoisonAfterCheck(kCount - 1), 0U);
  SetGeneration(kCount + 1, 0);
  EXPECT_EQ(PoisonAfterCheck(kCount - 1), 0U);
}

}  // namespace
}  // namespace alchemist
