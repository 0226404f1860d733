#include "kernels/log_prob.h"

#include <algorithm>
#include <cmath>

#include "base/logging.h"
#include "kernels/accumulate.h"
#include "kernels/dispatch.h"
#include "kernels/row_tiles.h"
#include "kernels/scratch.h"
#include "kernels/simd_level.h"
#include "kernels/softmax_simd.h"

namespace alchemist {
namespace {

// Fewer rows would read the head more often, more would need more memory.
constexpr int64_t kChunkRows = 64;

bool WantsGradient(const LogProbGradients& gradients) {
  return gradients.unit_gradient.data != nullptr || gradients.dw.data != nullptr;
}

// Turns a row of logits into onehot(target) - softmax; returns log softmax at target.
double LogProbAndGradient(float* logits, int64_t vocab, int32_t target) {
  const SimdLevel level = CurrentSimdLevel();
  const float max = ALCHEMIST_SIMD_VERSION(level, RowMax)(logits, vocab);
  const double shifted = static_cast<double>(logits[target]) - max;
  const double sum = ALCHEMIST_SIMD_VERSION(level, SumExpInPlace)(logits, vocab, max);
  const double target_probability = logits[target] / sum;
  ALCHEMIST_SIMD_VERSION(level, ScaleRow)(logits, vocab, static_cast<float>(-1 / sum));
  logits[target] = static_cast<float>(1 - target_probability);
  return shifted - std::log(sum);
}

// LogProb of the chunk of rows that begins at `first`.
void LogProbChunk(ConstTensorView hidden, int64_t first, const WeightView& head, TensorView logits,
                  absl::Span<const int32_t> targets, absl::Span<float> log_probs,
                  const LogProbGradients& gradients, Stream& stream) {
  const ConstTensorView rows = hidden.Rows(first, logits.rows);
  MatmulForward(rows, head, logits, RowPhase::kPrefill, stream);
  const bool wants_gradient = WantsGradient(gradients);
  stream.pool().ParallelFor(logits.rows, [&](int64_t t) {
    float* const row = logits.Row<float>(t);
    const int32_t target = targets[first + t];
    log_probs[first + t] = static_cast<float>(
        wants_gradient ? LogProbAndGradient(row, logits.width, target)
                       : LogSoftmaxAt(absl::MakeConstSpan(row, logits.width), target));
  });
  if (gradients.unit_gradient.data != nullptr) {
    MatmulInputGradient(logits, head, gradients.unit_gradient.Rows(first, logits.rows),
                        Accumulate::kNo, stream);
  }
  if (gradients.dw.data != nullptr) {
    ScaleRows(logits, gradients.c.subspan(first, logits.rows), logits, stream);
    MatmulWeightGradient(logits, rows, gradients.dw, stream);
  }
}

}  // namespace

void LogProb(ConstTensorView hidden, const WeightView& head, absl::Span<const int32_t> targets,
             absl::Span<float> log_probs, const LogProbGradients& gradients, Stream& stream) {
  const int64_t vocab = head.out();
  CheckShape("LogProb head", head.values, vocab, hidden.width, hidden.dtype);
  CHECK_EQ(static_cast<int64_t>(targets.size()), hidden.rows);
  CHECK_EQ(static_cast<int64_t>(log_probs.size()), hidden.rows);
  for (int32_t target : targets) CHECK(target >= 0 && target < vocab) << target << " of " << vocab;
  if (gradients.unit_gradient.data != nullptr) {
    CheckShape("LogProb unit_gradient", gradients.unit_gradient, hidden.rows, hidden.width,
               DType::kF32);
  }
  if (gradients.dw.data != nullptr) {
    CheckShape("LogProb dw", gradients.dw, vocab, hidden.width, DType::kF32);
    CHECK_EQ(static_cast<int64_t>(gradients.c.size()), hidden.rows);
  }
  CheckFloat("LogProb", hidden.dtype);
  thread_local Scratch<float> scratch;
  float* const memory = scratch.Get(std::min(kChunkRows, hidden.rows) * vocab);
  for (int64_t first = 0; first < hidden.rows; first += kChunkRows) {
    const int64_t rows = std::min(kChunkRows, hidden.rows - first);
    LogProbChunk(hidden, first, head, {memory, rows, vocab, DType::kF32}, targets, log_probs,
                 gradients, stream);
  }
}

void ScaleRows(ConstTensorView unit_gradient, absl::Span<const float> c, TensorView dx,
               Stream& stream) {
  CheckShape("ScaleRows unit_gradient", unit_gradient, dx.rows, dx.width, DType::kF32);
  CheckShape("ScaleRows dx", dx, dx.rows, dx.width, DType::kF32);
  CHECK_EQ(static_cast<int64_t>(c.size()), dx.rows);
  ForEachRowTile(stream, dx.rows, dx.width, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      const float* const from = unit_gradient.Row<float>(t);
      float* const to = dx.Row<float>(t);
      for (int64_t j = 0; j < dx.width; ++j) to[j] = c[t] * from[j];
    }
  });
}

double LogSoftmaxAt(absl::Span<const float> logits, int32_t token) {
  const int64_t vocab = static_cast<int64_t>(logits.size());
  CHECK(token >= 0 && token < vocab) << token << " of " << vocab;
  const SimdLevel level = CurrentSimdLevel();
  const float max = ALCHEMIST_SIMD_VERSION(level, RowMax)(logits.data(), vocab);
  const double sum = ALCHEMIST_SIMD_VERSION(level, SumExp)(logits.data(), vocab, max);
  return static_cast<double>(logits[token]) - max - std::log(sum);
}

}  // namespace alchemist
