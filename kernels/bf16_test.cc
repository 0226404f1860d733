#include "kernels/bf16.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

uint16_t Rounded(float x) { return ToBf16(x).bits; }

TEST(Bf16Test, ValuesAreExact) {
  EXPECT_EQ(ToF32(Bf16{0x3f80}), 1.0f);
  EXPECT_EQ(ToF32(Bf16{0xc049}), -3.140625f);
  EXPECT_EQ(ToF32(Bf16{0x0001}), 0x1p-133f);
  EXPECT_EQ(ToF32(Bf16{0x7f80}), kInfinity);
  EXPECT_TRUE(std::signbit(ToF32(Bf16{0x8000})));
}

// Between two neighbours the middle goes to the even one, anything off the middle to the nearer.
TEST(Bf16Test, RoundingIsToNearestEven) {
  for (uint16_t low = 0; low < 0x7f00; ++low) {  // Above, the sum of two neighbours overflows f32.
    const uint16_t high = low + 1;
    const float middle = (ToF32(Bf16{low}) + ToF32(Bf16{high})) / 2;
    ASSERT_EQ(Rounded(middle), low % 2 == 0 ? low : high) << low;
    ASSERT_EQ(Rounded(std::nextafter(middle, 0.0f)), low) << low;
    ASSERT_EQ(Rounded(std::nextafter(middle, kInfinity)), high) << low;
    ASSERT_EQ(Rounded(-middle), 0x8000 | (low % 2 == 0 ? low : high)) << low;
  }
  EXPECT_EQ(Rounded(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(Rounded(-kInfinity), 0xff80);
}

TEST(Bf16Test, NaNsStayNaNs) {
  for (const uint32_t bits : {0x7f800001u, 0xff80ffffu, 0x7fffffffu, 0x7fc00000u}) {
    EXPECT_TRUE(std::isnan(ToF32(ToBf16(std::bit_cast<float>(bits))))) << bits;
  }
}

// The loops in their vectors and their tails, against one element at a time.
TEST(Bf16Test, RowsAreTheirElements) {
  std::vector<Bf16> every;
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) every.push_back({static_cast<uint16_t>(bits)});
  for (const int64_t count : {0x10000, 0xfff1, 37, 7, 1, 0}) {
    std::vector<float> wide(count + 1, -1.0f);
    Widen(every.data(), count, wide.data());
    std::vector<Bf16> back(count + 1, {0x1234});
    for (float& value : wide) value *= 1.003f;  // About half of a unit in the last place.
    Round(wide.data(), count, back.data());
    for (int64_t i = 0; i < count; ++i) {
      const float wanted = ToF32(every[i]) * 1.003f;
      ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(wanted)) << i;
      ASSERT_EQ(back[i].bits, ToBf16(wanted).bits) << i;
    }
    EXPECT_EQ(wide[count], -1.003f) << "past the end";
    EXPECT_EQ(back[count].bits, 0x1234) << "past the end";
  }
}

TEST(Bf16Test, RowsThatLieApartBecomeDense) {
  constexpr int64_t kStride = 50, kRows = 3, kWidth = 21;
  std::vector<Bf16> x;
  for (int64_t i = 0; i < kRows * kStride; ++i) x.push_back(ToBf16(static_cast<float>(i)));
  std::vector<float> y(kRows * kWidth + 1, -1.0f);
  WidenRows(x.data(), kStride, kRows, kWidth, y.data());
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t i = 0; i < kWidth; ++i) EXPECT_EQ(y[row * kWidth + i], row * kStride + i);
  }
  EXPECT_EQ(y.back(), -1.0f) << "past the end";
}

}  // namespace
}  // namespace alchemist
