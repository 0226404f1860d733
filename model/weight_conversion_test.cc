#include "model/weight_conversion.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(WeightConversionTest, Bf16ValuesAreExact) {
  EXPECT_EQ(Bf16ToF32(0x3f80), 1.0f);
  EXPECT_EQ(Bf16ToF32(0xc049), -3.140625f);
  EXPECT_EQ(Bf16ToF32(0x0001), 0x1p-133f);
  EXPECT_EQ(Bf16ToF32(0x7f80), kInfinity);
  EXPECT_TRUE(std::signbit(Bf16ToF32(0x8000)));
}

TEST(WeightConversionTest, F16ValuesAreExact) {
  EXPECT_EQ(F16ToF32(0x3c00), 1.0f);
  EXPECT_EQ(F16ToF32(0xc248), -3.140625f);
  EXPECT_EQ(F16ToF32(0x7bff), 65504.0f);
  EXPECT_EQ(F16ToF32(0x0400), 0x1p-14f);
  EXPECT_EQ(F16ToF32(0x03ff), 1023 * 0x1p-24f);
  EXPECT_EQ(F16ToF32(0x8001), -0x1p-24f);
  EXPECT_EQ(F16ToF32(0xfc00), -kInfinity);
  EXPECT_TRUE(std::isnan(F16ToF32(0x7e00)));
  EXPECT_TRUE(std::signbit(F16ToF32(0x8000)));
}

TEST(WeightConversionTest, EveryNarrowValueSurvivesTheWayThere) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const uint16_t narrow = static_cast<uint16_t>(bits);
    if (!std::isnan(Bf16ToF32(narrow))) {
      ASSERT_EQ(F32ToBf16(Bf16ToF32(narrow)), narrow);
    }
    if (!std::isnan(F16ToF32(narrow))) {
      ASSERT_EQ(F32ToF16(F16ToF32(narrow)), narrow);
    }
  }
  EXPECT_TRUE(std::isnan(Bf16ToF32(F32ToBf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(std::nanf("")))));
}

// Between two neighbours the middle goes to the even one, anything off the middle to the nearer.
template <float (*kWiden)(uint16_t), uint16_t (*kNarrow)(float)>
void ExpectNearestEven(uint16_t infinity) {
  for (uint16_t low = 0; low + 1 < infinity; ++low) {
    const uint16_t high = low + 1;
    const float middle = (kWiden(low) + kWiden(high)) / 2;
    ASSERT_EQ(kNarrow(middle), low % 2 == 0 ? low : high) << low;
    ASSERT_EQ(kNarrow(std::nextafter(middle, 0.0f)), low) << low;
    ASSERT_EQ(kNarrow(std::nextafter(middle, kInfinity)), high) << low;
    ASSERT_EQ(kNarrow(-middle), 0x8000 | (low % 2 == 0 ? low : high)) << low;
  }
}

TEST(WeightConversionTest, RoundingIsToNearestEven) {
  ExpectNearestEven<F16ToF32, F32ToF16>(0x7c00);
  // The sum of two neighbours near the top of bf16 overflows f32.
  ExpectNearestEven<Bf16ToF32, F32ToBf16>(0x7f00);
  EXPECT_EQ(F32ToF16(65519.0f), 0x7bff);
  EXPECT_EQ(F32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(F32ToF16(-kInfinity), 0xfc00);
  EXPECT_EQ(F32ToBf16(std::numeric_limits<float>::max()), 0x7f80);
}

TEST(WeightConversionTest, ArraysMayBeUnaligned) {
  const std::vector<float> values = {1.0f, -2.5f, 0.0f};
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    std::vector<std::byte> narrow(1 + 3 * BytesPerElement(dtype));
    ConvertFromF32(dtype, values.data(), 3, narrow.data() + 1);
    std::vector<float> wide(3);
    ConvertToF32(dtype, narrow.data() + 1, 3, wide.data());
    EXPECT_EQ(wide, values) << DTypeName(dtype);
  }
}

}  // namespace
}  // namespace alchemist
