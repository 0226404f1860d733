#include "kernels/vector_math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

// The distance between adjacent floats at `value`.
double Ulp(double value) {
  const float magnitude = std::fabs(static_cast<float>(value));
  return static_cast<double>(std::nextafter(magnitude, INFINITY)) - magnitude;
}

// Every 1,001st float from -104 to the largest x with a finite e^x, of both signs.
TEST(VectorMathTest, ExpIsWithinAnUlpOfTheDoubleEverywhere) {
  std::vector<float> x;
  for (float limit : {88.72283f, -104.0f}) {
    const uint32_t zero = std::bit_cast<uint32_t>(std::copysign(0.0f, limit));
    for (uint32_t bits = zero; bits <= std::bit_cast<uint32_t>(limit); bits += 1001) {
      x.push_back(std::bit_cast<float>(bits));
    }
  }
  std::vector<float> y = x;
  ExpInPlace(y.data(), y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double wanted = std::exp(static_cast<double>(x[i]));
    const double error = std::fabs(y[i] - wanted) / Ulp(wanted);
    if (error > worst) {
      worst = error;
      EXPECT_LE(error, 1) << "Exp(" << x[i] << ") = " << y[i] << ", not " << wanted;
    }
  }
  RecordProperty("worst_ulp", std::to_string(worst));
}

TEST(VectorMathTest, ExpAtTheEnds) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> x = {-kInfinity, -1e30f, -150.0f, 0.0f, -0.0f, 89.0f, 1e30f, kInfinity, NAN};
  ExpInPlace(x.data(), x.size());
  EXPECT_TRUE(std::isnan(x.back()));
  x.pop_back();
  const std::vector<float> wanted = {0, 0, 0, 1, 1, kInfinity, kInfinity, kInfinity};
  ExpectSameBits("exp", x, wanted);
}

// Also the tail of a loop, and whatever clone this machine takes.
TEST(VectorMathTest, AnElementsBitsDoNotDependOnItsPlace) {
  Random random(1);
  const TestMatrix x = TestMatrix::Normal(1, 200, &random, 20);
  std::vector<float> wanted;
  for (float value : x.values()) {
    ExpInPlace(&value, 1);
    wanted.push_back(value);
  }
  for (int64_t count = 1; count <= x.width(); ++count) {
    const int64_t first = x.width() - count;
    TestMatrix y = x.Copy();
    ExpInPlace(y.Row(0) + first, count);
    ExpectSameBits("exp", y.values().subspan(first), absl::MakeSpan(wanted).subspan(first));
  }
}

}  // namespace
}  // namespace alchemist
