#include "kernels/rope.h"

#include <cmath>
#include <numbers>

#include "base/logging.h"
#include "kernels/dispatch.h"
#include "kernels/rope_cpu.h"

namespace alchemist {
namespace {

// Llama 3.1's scaling (Hugging Face's _compute_llama3_parameters): wavelengths that fit
// high_freq_factor times into the original context stay as they are, those that do not fit
// low_freq_factor times are stretched by `factor`, those between are blended.
double Llama3Frequency(const RopeConfig& config, double frequency) {
  const double wavelengths_in_context =
      config.original_context * frequency / (2 * std::numbers::pi);
  if (wavelengths_in_context > config.high_freq_factor) return frequency;
  if (wavelengths_in_context < config.low_freq_factor) return frequency / config.factor;
  const double smooth = (wavelengths_in_context - config.low_freq_factor) /
                        (config.high_freq_factor - config.low_freq_factor);
  return (1 - smooth) * frequency / config.factor + smooth * frequency;
}

// The angle per position of the pair (pair, pair + head_dim / 2).
double Frequency(const RopeConfig& config, int64_t pair, int64_t head_dim) {
  const double frequency = std::pow(config.theta, -2.0 * pair / head_dim);
  switch (config.scaling) {
    case RopeScaling::kNone:
      return frequency;
    case RopeScaling::kLinear:
      return frequency / config.factor;
    case RopeScaling::kLlama3:
      return Llama3Frequency(config, frequency);
  }
  LOG(FATAL) << "rope scaling " << static_cast<int>(config.scaling);
}

void CheckRows(const RopeTable& table, absl::Span<const int32_t> positions, ConstTensorView x) {
  CheckShape("rope", x, static_cast<int64_t>(positions.size()), x.width, DType::kF32);
  CHECK_EQ(x.width % table.head_dim(), 0) << "rows of " << x.width;
  for (int32_t position : positions) {
    CHECK(position >= 0 && position < table.context())
        << "position " << position << ", context " << table.context();
  }
}

}  // namespace

RopeTable::RopeTable(const RopeConfig& config, int64_t head_dim, int64_t context)
    : head_dim_(head_dim), context_(context) {
  CHECK(head_dim > 0 && head_dim % 2 == 0) << "head_dim " << head_dim;
  CHECK_GT(context, 0);
  const int64_t half = head_dim / 2;
  cos_.resize(context * half);
  sin_.resize(context * half);
  for (int64_t pair = 0; pair < half; ++pair) {
    const double frequency = Frequency(config, pair, head_dim);
    for (int64_t position = 0; position < context; ++position) {
      cos_[position * half + pair] = static_cast<float>(std::cos(position * frequency));
      sin_[position * half + pair] = static_cast<float>(std::sin(position * frequency));
    }
  }
}

void RopeForward(const RopeTable& table, absl::Span<const int32_t> positions, TensorView x,
                 Stream& stream) {
  CheckRows(table, positions, x);
  RopeForwardCpu(table, positions, x, stream);
}

void RopeBackward(const RopeTable& table, absl::Span<const int32_t> positions, TensorView dx,
                  Stream& stream) {
  CheckRows(table, positions, dx);
  RopeBackwardCpu(table, positions, dx, stream);
}

}  // namespace alchemist
