#include "tools/gpu_check/measurement_text.h"

#include <cmath>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(MeasurementTextTest, MeasurementsAreAlignedLines) {
  EXPECT_EQ(MeasurementText({{"copy_gb_per_s", 4312.25, "GB/s"}, {"us", 0.5, "us"}}, 2),
            "  copy_gb_per_s  4312 GB/s\n"
            "  us              0.5 us\n");
}

TEST(MeasurementTextTest, NamesOfRowAndColumnMakeATable) {
  EXPECT_EQ(MeasurementText({{"alone/step_p50", 8012, "us"},
                             {"alone/step_p95", 8100.4, "us"},
                             {"queued_200_us/step_p50", 8020, "us"},
                             {"queued_200_us/share", 12.5, "%"},
                             {"queued_200_us/step_p95", 9000, "us"}},
                            1),
            "                step_p50  step_p95  share\n"
            "                      us        us      %\n"
            " alone              8012      8100      -\n"
            " queued_200_us      8020      9000   12.5\n");
}

TEST(MeasurementTextTest, OneOtherNameMakesItAList) {
  EXPECT_EQ(MeasurementText({{"a/b", 1, "x"}, {"c", 2, "y"}}, 0),
            "a/b  1 x\n"
            "c    2 y\n");
}

TEST(MeasurementTextTest, NoNumberIsADash) {
  EXPECT_EQ(NumberText(std::nan("")), "-");
  EXPECT_EQ(NumberText(1234567.4), "1234567");
  EXPECT_EQ(NumberText(12.345678), "12.35");
}

TEST(MeasurementTextTest, NothingMeasuredIsNothingPrinted) {
  EXPECT_EQ(MeasurementText({}, 4), "");
}

}  // namespace
}  // namespace alchemist
