#include "tools/quickstart/format.h"

#include <gtest/gtest.h>

#include <limits>

namespace alchemist {
namespace {

TEST(FormatTest, NumbersHaveTheDigitsThatMatter) {
  EXPECT_EQ(FormatNumber(0.97), "0.970");
  EXPECT_EQ(FormatNumber(-0.0025), "-0.003");
  EXPECT_EQ(FormatNumber(12.345), "12.35");
  EXPECT_EQ(FormatNumber(123.45), "123.5");
  EXPECT_EQ(FormatNumber(100), "100");
  EXPECT_EQ(FormatNumber(std::numeric_limits<double>::infinity()), "never");
}

TEST(FormatTest, CountsHaveCommas) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(-123456), "-123,456");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
}

}  // namespace
}  // namespace alchemist
