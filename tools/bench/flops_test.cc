#include "tools/bench/flops.h"

#include <gtest/gtest.h>

namespace alchemist {
namespace {

// Sizes that are easy to count by hand: every linear is 2 x 2, but k and v, which are 2 x 1, and
// the three of the MLP, which are 2 x 3 and 3 x 2.
ModelConfig TwoLayers() {
  ModelConfig config;
  config.layers = 2;
  config.hidden = 2;
  config.ffn = 3;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 1;
  config.vocab = 10;
  return config;
}

constexpr double kKvProducts = 2 * (2 * 1);             // k, v
constexpr double kOtherProducts = 2 * (2 * 2) + 3 * 6;  // q, o; gate, up, down
constexpr double kKvInOut = 2 * (2 + 1), kOtherInOut = 2 * (2 + 2) + 3 * (2 + 3);

TEST(FlopsTest, TheLastLayerIsWholeForHeadRowsOnly) {
  const Flops flops = ForwardFlops(TwoLayers(), /*rank=*/5, {.rows = 3, .head_rows = 1});
  EXPECT_EQ(flops.linears, 2 * (3 * 2 * kKvProducts + (3 + 1) * kOtherProducts));
  EXPECT_EQ(flops.lora, 2 * 5 * (3 * 2 * kKvInOut + (3 + 1) * kOtherInOut));
  EXPECT_EQ(flops.attention, 2 * 2 * 2 * (1 + 2 + 3 + 3)) << "the last row alone in the last layer";
  EXPECT_EQ(flops.head, 0);
  EXPECT_EQ(HeadFlops(TwoLayers(), 1).total(), 2 * 2 * 10);
}

TEST(FlopsTest, LaterRowsAttendToAllBeforeThem) {
  const Flops whole = ForwardFlops(TwoLayers(), 0, {.rows = 7, .head_rows = 7});
  Flops pieces = ForwardFlops(TwoLayers(), 0, {.rows = 3, .head_rows = 3});
  pieces += ForwardFlops(TwoLayers(), 0, {.first_position = 3, .rows = 4, .head_rows = 4});
  EXPECT_EQ(whole.attention, 2 * 2 * 2 * 2 * 28);
  EXPECT_EQ(whole.attention, pieces.attention);
  EXPECT_EQ(whole.linears, pieces.linears);
}

TEST(FlopsTest, BackwardHasNoGradientOfTheFirstInput) {
  const RowRange range = {.rows = 3, .head_rows = 3};
  const Flops forward = ForwardFlops(TwoLayers(), 5, range);
  const Flops backward = BackwardFlops(TwoLayers(), 5, range);
  const double qkv = kKvProducts + 2 * 2;
  EXPECT_EQ(backward.linears, forward.linears - 2 * 3 * qkv);
  EXPECT_EQ(backward.attention, 2.5 * forward.attention);
  const double in = 6 * 2 + 3;  // Six linears of width 2, and down.
  const double lora = 2 * (kKvInOut + kOtherInOut) * 2 + in + (in - 3 * 2);
  EXPECT_EQ(backward.lora, 2 * 3 * 5 * lora);
}

}  // namespace
}  // namespace alchemist
