#include "kernels/rope.h"

#include <complex>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/rope_reference.h"
#include "kernels/stream.h"
#include "kernels/testing.h"

namespace alchemist {
namespace {

// The angles of position 1 are the frequencies; those of position 1000 show their digits.
void ExpectAngles(const RopeTable& table, int64_t position, absl::Span<const double> cos,
                  absl::Span<const double> sin) {
  ASSERT_EQ(static_cast<int64_t>(cos.size()), table.head_dim() / 2);
  for (size_t i = 0; i < cos.size(); ++i) {
    EXPECT_FLOAT_EQ(table.Cos(position)[i], cos[i]) << "pair " << i << " at " << position;
    EXPECT_FLOAT_EQ(table.Sin(position)[i], sin[i]) << "pair " << i << " at " << position;
  }
}

// cos and sin of position * theta^(-2 i / head_dim), by Python's math in double.
TEST(RopeTableTest, DefaultAngles) {
  const RopeTable table({.theta = 10000}, /*head_dim=*/8, /*context=*/1001);
  ExpectAngles(
      table, 1,
      {0.54030230586813977, 0.99500416527802582, 0.99995000041666526, 0.99999950000004167},
      {0.8414709848078965, 0.099833416646828155, 0.0099998333341666645, 0.00099999983333334168});
  ExpectAngles(
      table, 1000,
      {0.56237907629070294, 0.86231887228768389, -0.83907152907645244, 0.54030230586813977},
      {0.82687954053200252, -0.50636564110975879, -0.54402111088936977, 0.8414709848078965});
}

// The same with the frequencies divided by 4.
TEST(RopeTableTest, LinearScalingStretchesAllAngles) {
  const RopeTable table({.theta = 10000, .scaling = RopeScaling::kLinear, .factor = 4},
                        /*head_dim=*/8, /*context=*/1001);
  ExpectAngles(
      table, 1,
      {0.96891242171064473, 0.99968751627570263, 0.99999687500162759, 0.99999996875000019},
      {0.24740395925452294, 0.024997395914712332, 0.002499997395834147, 0.00024999999739583334});
  ExpectAngles(
      table, 1000,
      {0.24098830528525864, 0.99120281186347359, -0.8011436155469337, 0.96891242171064473},
      {-0.97052801954180534, -0.13235175009777303, 0.59847214410395655, 0.24740395925452294});
}

// Llama 3.1's values. With the wavelength w = 2 pi / f: f stays where w < context / high, becomes
// f / factor where w > context / low, and between them (1 - s) f / factor + s f with
// s = (context / w - low) / (high - low). Pairs 0 to 3 stay, 4 is blended, 5 to 7 are stretched.
TEST(RopeTableTest, Llama3ScalingStretchesLongWavelengths) {
  const RopeTable table({.theta = 500000,
                         .scaling = RopeScaling::kLlama3,
                         .factor = 8,
                         .low_freq_factor = 1,
                         .high_freq_factor = 4,
                         .original_context = 8192},
                        /*head_dim=*/16, /*context=*/1001);
  ExpectAngles(table, 1,
               {0.54030230586813977, 0.98125583628402857, 0.99929297654821847, 0.99997340863836615,
                0.99999986226825677, 0.9999999994124058, 0.9999999999779029, 0.999999999999169},
               {0.8414709848078965, 0.19270958398204202, 0.0375971677311151, 0.0072926000964740828,
                0.00052484613689696223, 3.4281021952811469e-05, 6.6478698711322693e-06,
                1.2891731721512004e-06});
  ExpectAngles(
      table, 1000,
      {0.56237907629070294, 0.65546378160999363, 0.9956710987321743, 0.53230148451073511,
       0.86540103749402575, 0.99941246330894828, 0.99997790299446798, 0.9999991690163812},
      {0.82687954053200252, -0.75522660903700067, -0.092946560718860857, 0.84655485917196627,
       0.50107987816740729, 0.03427430791044675, 0.0066478209051033287, 0.0012891728150576083});
}

TEST(RopeReferenceTest, VjpIsTheComplexStepGradient) {
  constexpr int64_t kHalf = 8;
  const RopeTable table({}, 2 * kHalf, 100);
  const float* cos = table.Cos(77);
  const float* sin = table.Sin(77);
  Random random(1);
  const std::vector<double> x = TestMatrix::Normal(1, 2 * kHalf, &random).AsDouble();
  const std::vector<double> dy = TestMatrix::Normal(1, 2 * kHalf, &random).AsDouble();
  std::vector<double> dx = dy;
  RopeReferenceVjp(dx.data(), cos, sin, kHalf);
  const auto loss = [&](std::vector<std::complex<double>> y) {
    RopeReference(y.data(), cos, sin, kHalf);
    std::complex<double> sum = 0;
    for (int64_t i = 0; i < 2 * kHalf; ++i) sum += dy[i] * y[i];
    return sum;
  };
  ExpectSameGradient("dx", dx, ComplexStepGradient(loss, x), 2 * kHalf);
}

constexpr int64_t kHeads = 3;
constexpr int64_t kHeadDim = 20;
constexpr int64_t kRows = 700;  // More than a tile.

std::vector<int32_t> SomePositions(Random* random, int64_t context) {
  std::vector<int32_t> positions(kRows);
  for (int32_t& position : positions) position = static_cast<int32_t>(random->Below(context));
  return positions;
}

template <typename T>
std::vector<T> Reference(const RopeTable& table, const std::vector<int32_t>& positions,
                         const TestMatrix& x, bool backward) {
  std::vector<T> y(x.values().begin(), x.values().end());
  for (int64_t head = 0; head < x.rows() * kHeads; ++head) {
    const int32_t position = positions[head / kHeads];
    (backward ? RopeReferenceVjp<T> : RopeReference<T>)(y.data() + head * kHeadDim,
                                                        table.Cos(position), table.Sin(position),
                                                        kHeadDim / 2);
  }
  return y;
}

TEST(RopeTest, IsAsCloseToTheTruthAsThePlainLoop) {
  Random random(2);
  WorkerPool pool({.threads = 2});
  Stream stream(&pool);
  const RopeTable table({}, kHeadDim, 4096);
  const std::vector<int32_t> positions = SomePositions(&random, 4096);
  const TestMatrix x = TestMatrix::Normal(kRows, kHeads * kHeadDim, &random);
  for (bool backward : {false, true}) {
    TestMatrix y = x.Copy();
    (backward ? RopeBackward : RopeForward)(table, positions, y.view(), stream);
    ExpectWithinTwiceNaive(backward ? "backward" : "forward", y.values(),
                           Reference<float>(table, positions, x, backward),
                           Reference<double>(table, positions, x, backward));
  }
}

TEST(RopeTest, ARowsBitsDependOnThatRowAndItsPositionOnly) {
  Random random(3);
  WorkerPool pool({.threads = 1});
  Stream one(&pool);
  const RopeTable table({}, kHeadDim, 4096);
  const std::vector<int32_t> positions = SomePositions(&random, 4096);
  const TestMatrix x = TestMatrix::Normal(kRows, kHeads * kHeadDim, &random);
  TestMatrix wanted = x.Copy();
  TestMatrix wanted_back = x.Copy();
  RopeForward(table, positions, wanted.view(), one);
  RopeBackward(table, positions, wanted_back.view(), one);
  ForEachCut(kRows, [&](const std::vector<RowCut>& cut, Stream& stream) {
    TestMatrix y = x.Copy();
    TestMatrix back = x.Copy();
    for (const auto& [first, count] : cut) {
      const auto rows = absl::MakeConstSpan(positions).subspan(first, count);
      RopeForward(table, rows, y.view().Rows(first, count), stream);
      RopeBackward(table, rows, back.view().Rows(first, count), stream);
    }
    ExpectSameBits("forward", y.values(), wanted.values());
    ExpectSameBits("backward", back.values(), wanted_back.values());
  });
}

TEST(RopeDeathTest, PositionsStayInsideTheContext) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  WorkerPool pool({.threads = 1});
  Stream stream(&pool);
  const RopeTable table({}, 4, 10);
  TestMatrix x(1, 4);
  EXPECT_DEATH(RopeForward(table, {10}, x.view(), stream), "position 10, context 10");
  EXPECT_DEATH(RopeForward(table, {-1}, x.view(), stream), "position -1");
}

}  // namespace
}  // namespace alchemist
