#include "model/weight_conversion.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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
    if (!std::isnan(F16ToF32(narrow))) {
      ASSERT_EQ(F32ToF16(F16ToF32(narrow)), narrow);
    }
  }
  EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(std::nanf("")))));
}

// Between two neighbours the middle goes to the even one, anything off the middle to the nearer.
TEST(WeightConversionTest, RoundingIsToNearestEven) {
  for (uint16_t low = 0; low + 1 < 0x7c00; ++low) {
    const uint16_t high = low + 1;
    const float middle = (F16ToF32(low) + F16ToF32(high)) / 2;
    ASSERT_EQ(F32ToF16(middle), low % 2 == 0 ? low : high) << low;
    ASSERT_EQ(F32ToF16(std::nextafter(middle, 0.0f)), low) << low;
    ASSERT_EQ(F32ToF16(std::nextafter(middle, kInfinity)), high) << low;
    ASSERT_EQ(F32ToF16(-middle), 0x8000 | (low % 2 == 0 ? low : high)) << low;
  }
  EXPECT_EQ(F32ToF16(65519.0f), 0x7bff);
  EXPECT_EQ(F32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(F32ToF16(-kInfinity), 0xfc00);
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

TEST(WeightConversionTest, EveryTypeBecomesEveryOther) {
  constexpr int64_t kCount = 3000;  // Several pieces.
  std::vector<float> values;        // Multiples of 1/8 up to 15: exact in every type.
  for (int64_t i = 0; i < kCount; ++i) values.push_back(static_cast<float>(i % 121) / 8);
  for (const DType from : {DType::kF32, DType::kBf16, DType::kF16}) {
    std::vector<std::byte> stored(kCount * BytesPerElement(from));
    ConvertFromF32(from, values.data(), kCount, stored.data());
    for (const DType to : {DType::kF32, DType::kBf16, DType::kF16}) {
      std::vector<std::byte> converted(kCount * BytesPerElement(to));
      Convert(from, stored.data(), kCount, to, converted.data());
      std::vector<float> wide(kCount);
      ConvertToF32(to, converted.data(), kCount, wide.data());
      EXPECT_EQ(wide, values) << DTypeName(from) << " to " << DTypeName(to);
    }
  }
}

}  // namespace
}  // namespace alchemist
