// What probes say must be right: later checks of devices stand on them.
#include "kernels/cuda/cuda_probes.h"

#include <bit>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/testing.h"

namespace alchemist {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr int64_t kWords = 100'000;  // No multiple of a grid's threads.
constexpr int64_t kBytes = kWords * sizeof(uint32_t);

uint16_t Bf16(float value) {  // REQUIRES: it has no more bits.
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}

class CudaProbesTest : public CudaTest {};

TEST_F(CudaProbesTest, EachFlippedWordIsOneMismatch) {
  const Buffer buffer = Allocate(kBytes);
  const uint64_t address = AddressOf(buffer);
  FillPattern(address, kBytes, 1);
  EXPECT_EQ(Mismatches(address, kBytes, 1), 0);
  const int64_t flipped[] = {0, 777, kWords - 1};
  for (int i = 0; i < 3; ++i) {
    const uint64_t word = address + flipped[i] * sizeof(uint32_t);
    Write<uint32_t>(word, {Read<uint32_t>(word, 1)[0] ^ 1});
    EXPECT_EQ(Mismatches(address, kBytes, 1), i + 1);
  }
}

TEST_F(CudaProbesTest, AnotherSeedOrPlaceDiffersNearlyEverywhere) {
  const Buffer buffer = Allocate(kBytes);
  FillPattern(AddressOf(buffer), kBytes, 1);
  EXPECT_GT(Mismatches(AddressOf(buffer), kBytes, 2), kWords - 10);
  EXPECT_GT(Mismatches(AddressOf(buffer) + 4, kBytes - 4, 1), kWords - 10);
}

TEST_F(CudaProbesTest, APatternEndsWhereItShould) {
  const Buffer buffer = Allocate(2 * kBytes);
  FillPattern(AddressOf(buffer), kBytes, 1);
  EXPECT_THAT(Read<uint32_t>(AddressOf(buffer) + kBytes, kWords), Each(0U));
}

TEST_F(CudaProbesTest, Bf16OperandsAreOfAboutOneAndOfBothSigns) {
  const Buffer buffer = Allocate((kWords + 1) * sizeof(uint16_t));
  ASSERT_TRUE(probes_->FillBf16(AddressOf(buffer), kWords, 1, stream_).ok());
  std::vector<uint16_t> bits = Read<uint16_t>(AddressOf(buffer), kWords + 1);
  EXPECT_EQ(bits.back(), 0) << "it wrote beyond its end";
  bits.pop_back();
  int negative = 0;
  for (const uint16_t value : bits) {
    EXPECT_EQ(value & 0x7F80, Bf16(1)) << "not of 1 to 2 in size";
    negative += value >> 15;
  }
  EXPECT_NEAR(negative, kWords / 2, kWords / 50);
}

TEST_F(CudaProbesTest, ASpinBeats) {
  const Buffer heartbeat = Allocate(sizeof(uint64_t));
  ASSERT_TRUE(probes_->Spin(1000, AddressOf(heartbeat), stream_).ok());
  EXPECT_GT(Read<uint64_t>(AddressOf(heartbeat), 1)[0], 0U);
}

TEST_F(CudaProbesTest, AStoredWordIsThere) {
  const Buffer buffer = Allocate(3 * sizeof(uint32_t));
  ASSERT_TRUE(probes_->StoreWord(AddressOf(buffer) + 4, 42, stream_).ok());
  EXPECT_THAT(Read<uint32_t>(AddressOf(buffer), 3), ElementsAre(0, 42, 0));
}

TEST_F(CudaProbesTest, ReadingChangesNothing) {
  const Buffer buffer = Allocate(kBytes);
  FillPattern(AddressOf(buffer), kBytes, 1);
  ASSERT_TRUE(probes_->Read(AddressOf(buffer), kBytes, stream_).ok());
  EXPECT_EQ(Mismatches(AddressOf(buffer), kBytes, 1), 0);
}

TEST_F(CudaProbesTest, MultiplyIsTheProductOfBothMatrices) {
  constexpr int kRows = 128;
  constexpr int kOutputs = 64;
  constexpr int kInputs = 48;
  const auto left = [](int row, int k) { return (row * 3 + k) % 7 - 3; };
  const auto right = [](int column, int k) { return (column + k * 5) % 11 - 5; };
  std::vector<uint16_t> a;
  std::vector<uint16_t> b;
  std::vector<float> expected;  // Of small whole numbers: exact in any order.
  for (int i = 0; i < kRows * kInputs; ++i) a.push_back(Bf16(left(i / kInputs, i % kInputs)));
  for (int i = 0; i < kOutputs * kInputs; ++i) b.push_back(Bf16(right(i / kInputs, i % kInputs)));
  for (int i = 0; i < kRows * kOutputs; ++i) {
    int sum = 0;
    for (int k = 0; k < kInputs; ++k) sum += left(i / kOutputs, k) * right(i % kOutputs, k);
    expected.push_back(static_cast<float>(sum));
  }
  const Buffer a_buffer = Allocate(a.size() * sizeof(uint16_t));
  const Buffer b_buffer = Allocate(b.size() * sizeof(uint16_t));
  const Buffer c_buffer = Allocate(expected.size() * sizeof(float));
  Write<uint16_t>(AddressOf(a_buffer), a);
  Write<uint16_t>(AddressOf(b_buffer), b);
  const absl::Status queued =
      probes_->Multiply(AddressOf(a_buffer), AddressOf(b_buffer), AddressOf(c_buffer), kRows,
                        kOutputs, kInputs, stream_);
  ASSERT_TRUE(queued.ok()) << queued;
  EXPECT_EQ(Read<float>(AddressOf(c_buffer), kRows * kOutputs), expected);
}

}  // namespace
}  // namespace alchemist
