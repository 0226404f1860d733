#include "tools/bench/flops.h"

#include "model/linear.h"

namespace alchemist {
namespace {

// Keys that rows at positions [first, first + rows) attend to, themselves included.
double CausalPairs(int64_t first, int64_t rows) {
  return static_cast<double>(rows) * (static_cast<double>(first) + (rows + 1) / 2.0);
}

bool IsOfKv(Linear linear) { return linear == Linear::kK || linear == Linear::kV; }

bool IsOfQkv(Linear linear) { return linear == Linear::kQ || IsOfKv(linear); }

// What one row costs in a linear's base matrix and in its LoRA, each per multiply and add.
struct LinearCost {
  double base = 0;
  double lora = 0;
};

// Linear by linear, layer by layer; the last layer computes only K and V for rows without head.
template <typename Cost>
Flops SumOverLinears(const ModelConfig& config, const RowRange& range, Cost cost) {
  Flops flops;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const Linear linear : kLinears) {
      const bool whole = layer < config.layers - 1 || IsOfKv(linear);
      const auto rows = static_cast<double>(whole ? range.rows : range.head_rows);
      const LinearCost each = cost(layer, linear, LinearShape(config, linear));
      flops.linears += 2 * rows * each.base;
      flops.lora += 2 * rows * each.lora;
    }
  }
  return flops;
}

// `products` matrix products of each row with the keys it sees.
double AttentionFlops(const ModelConfig& config, const RowRange& range, double products) {
  const int64_t rows_without_head = range.rows - range.head_rows;
  const double pairs =
      static_cast<double>(config.layers - 1) * CausalPairs(range.first_position, range.rows) +
      CausalPairs(range.first_position + rows_without_head, range.head_rows);
  return 2 * products * pairs * static_cast<double>(config.q_width());
}

}  // namespace

Flops& Flops::operator+=(const Flops& other) {
  linears += other.linears;
  lora += other.lora;
  attention += other.attention;
  head += other.head;
  return *this;
}

BenchParams Flops::ToParams() const {
  return {{"linears_gflop", linears * 1e-9},
          {"lora_gflop", lora * 1e-9},
          {"attention_gflop", attention * 1e-9},
          {"head_gflop", head * 1e-9}};
}

Flops ForwardFlops(const ModelConfig& config, int64_t rank, const RowRange& range) {
  const auto r = static_cast<double>(rank);
  Flops flops = SumOverLinears(config, range, [&](int64_t, Linear, const MatmulShape& shape) {
    const auto in = static_cast<double>(shape.in), out = static_cast<double>(shape.out);
    return LinearCost{in * out, r * (in + out)};
  });
  flops.attention = AttentionFlops(config, range, 2);  // Scores, and the sum of values.
  return flops;
}

Flops BackwardFlops(const ModelConfig& config, int64_t rank, const RowRange& range) {
  const auto r = static_cast<double>(rank);
  const auto cost = [&](int64_t layer, Linear linear, const MatmulShape& shape) {
    const auto in = static_cast<double>(shape.in), out = static_cast<double>(shape.out);
    const bool input_wanted = layer > 0 || !IsOfQkv(linear);
    // x A^T again and dA; dy B and dB; with the input's gradient also its part through A.
    const double lora = r * (2 * in + 2 * out + (input_wanted ? in : 0));
    return LinearCost{input_wanted ? in * out : 0, lora};
  };
  Flops flops = SumOverLinears(config, range, cost);
  flops.attention = AttentionFlops(config, range, 5);  // Scores again, dV, dP, dQ, dK.
  return flops;
}

Flops HeadFlops(const ModelConfig& config, int64_t rows) {
  Flops flops;
  flops.head = 2.0 * static_cast<double>(rows * config.hidden * config.vocab);
  return flops;
}

}  // namespace alchemist
