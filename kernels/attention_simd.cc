#include "kernels/attention_simd.h"

#include "kernels/running_softmax.h"
#include "kernels/simd.h"

namespace alchemist::ALCHEMIST_SIMD {
namespace {

// Row-heads whose scores are held at a time: they, their q and a block of keys stay in the
// first-level cache.
constexpr int64_t kRowsAtOnce = 48;

// Row-heads whose scores are made side by side: eight independent sums, which hide the latency of
// an addition.
constexpr int64_t kScoreRows = 8 / kKeyVectors > 1 ? 8 / kKeyVectors : 1;
static_assert(kScoreRows <= 4);  // Scores has the cases for what is left.

// scores [kRows, 32] = x [kRows, width] . transposed [width, 32], each sum over the width in order.
template <int64_t kRows>
ALCHEMIST_INLINE void ScoresOfRows(const float* x, const float* transposed, int64_t width,
                                   float* scores) {
  Vec sums[kRows][kKeyVectors] = {};
  for (int64_t d = 0; d < width; ++d) {
    Vec factors[kRows];
    for (int64_t r = 0; r < kRows; ++r) factors[r] = Set(x[r * width + d]);
    for (int64_t v = 0; v < kKeyVectors; ++v) {
      const Vec keys = Load(transposed + d * kKeysPerBlock + v * kLanes);
      for (int64_t r = 0; r < kRows; ++r) sums[r][v] = MulAdd(factors[r], keys, sums[r][v]);
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kKeyVectors; ++v) {
      Store(scores + r * kKeysPerBlock + v * kLanes, sums[r][v]);
    }
  }
}

void Scores(const float* x, int64_t rows, const float* transposed, int64_t width, float* scores) {
  int64_t r = 0;
  for (; r + kScoreRows <= rows; r += kScoreRows) {
    ScoresOfRows<kScoreRows>(x + r * width, transposed, width, scores + r * kKeysPerBlock);
  }
  x += r * width;
  scores += r * kKeysPerBlock;
  switch (rows - r) {
    case 3:
      return ScoresOfRows<3>(x, transposed, width, scores);
    case 2:
      return ScoresOfRows<2>(x, transposed, width, scores);
    case 1:
      return ScoresOfRows<1>(x, transposed, width, scores);
  }
}

// Factors of a weighted sum of rows: that of output r and term t is at [r * row + t * term].
struct Weights {
  const float* data;
  int64_t row;
  int64_t term;
};

ALCHEMIST_INLINE Weights From(Weights weights, int64_t r) {
  return {weights.data + r * weights.row, weights.row, weights.term};
}

// out[r] += sum over terms t in [begin, end), in order, of weight(r, t) * terms[t], for kVectors
// vectors of each row from `column`.
template <int64_t kRows, int64_t kVectors>
ALCHEMIST_INLINE void WeightedSumOfColumns(float* const* out, Weights weights, const float* terms,
                                           int64_t width, int64_t begin, int64_t end,
                                           int64_t column) {
  Vec sums[kRows][kVectors];
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kVectors; ++v) sums[r][v] = Load(out[r] + column + v * kLanes);
  }
  for (int64_t t = begin; t < end; ++t) {
    Vec term[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) term[v] = Load(terms + t * width + column + v * kLanes);
    for (int64_t r = 0; r < kRows; ++r) {
      const Vec weight = Set(weights.data[r * weights.row + t * weights.term]);
      for (int64_t v = 0; v < kVectors; ++v) sums[r][v] = MulAdd(weight, term[v], sums[r][v]);
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kVectors; ++v) Store(out[r] + column + v * kLanes, sums[r][v]);
  }
}

template <int64_t kRows>
ALCHEMIST_INLINE void WeightedSumOfRows(float* const* out, Weights weights, const float* terms,
                                        int64_t width, int64_t begin, int64_t end) {
  constexpr int64_t kVectors = kRows > 2 ? 2 : 4;  // 16 registers hold the sums and their factors.
  int64_t column = 0;
  for (; column + kVectors * kLanes <= width; column += kVectors * kLanes) {
    WeightedSumOfColumns<kRows, kVectors>(out, weights, terms, width, begin, end, column);
  }
  for (; column < width; column += kLanes) {
    WeightedSumOfColumns<kRows, 1>(out, weights, terms, width, begin, end, column);
  }
}

// Outputs that are summed side by side.
constexpr int64_t kSumRows = 4;

void WeightedSum(int64_t rows, float* const* out, Weights weights, const float* terms,
                 int64_t width, int64_t begin, int64_t end) {
  if (begin == end) return;
  switch (rows) {
    case 4:
      return WeightedSumOfRows<4>(out, weights, terms, width, begin, end);
    case 3:
      return WeightedSumOfRows<3>(out, weights, terms, width, begin, end);
    case 2:
      return WeightedSumOfRows<2>(out, weights, terms, width, begin, end);
    case 1:
      return WeightedSumOfRows<1>(out, weights, terms, width, begin, end);
  }
}

// out[r] += sum over the keys that row-head r sees, in order. Keys beyond are not touched: not even
// 0 times an infinity may come in.
void SumOverKeys(int64_t rows, float* const* out, Weights weights, const int32_t* visible,
                 const float* keys, int64_t width) {
  for (int64_t r = 0; r < rows; r += kSumRows) {
    const int64_t count = rows - r < kSumRows ? rows - r : kSumRows;
    const int64_t common = visible[r];
    WeightedSum(count, out + r, From(weights, r), keys, width, 0, common);
    for (int64_t i = r + 1; i < r + count; ++i) {
      WeightedSum(1, out + i, From(weights, i), keys, width, common, visible[i]);
    }
  }
}

// out[key] += sum over the row-heads that see it, in order. weights are those of keys.
void SumOverRows(int64_t rows, float* const* out, Weights weights, const int32_t* visible,
                 const float* terms, int64_t width) {
  const int64_t keys = visible[rows - 1];
  int64_t first[kKeysPerBlock];  // The first row-head that sees the key.
  int64_t r = 0;
  for (int64_t key = 0; key < keys; ++key) {
    while (visible[r] <= key) ++r;
    first[key] = r;
  }
  for (int64_t key = 0; key < keys; key += kSumRows) {
    const int64_t count = keys - key < kSumRows ? keys - key : kSumRows;
    const int64_t common = first[key + count - 1];
    for (int64_t i = key; i < key + count; ++i) {
      WeightedSum(1, out + i, From(weights, i), terms, width, first[i], common);
    }
    WeightedSum(count, out + key, From(weights, key), terms, width, common, rows);
  }
}

// A row-head's probabilities from its scores, and the gradients of the unscaled scores, in place of
// its dout . v.
ALCHEMIST_INLINE void TakeGradients(float* scores, float* dprobabilities, int32_t visible,
                                    float scale, float lse, float dout_out) {
  for (int64_t v = 0; v < kKeyVectors; ++v) {
    float* const p = scores + v * kLanes;
    float* const dp = dprobabilities + v * kLanes;
    const IntVec is_visible = IsVisible(v, visible);
    const Vec e = ExpOfNegative(Load(p) * Set(scale) - Set(lse));
    const Vec probability = is_visible ? e : Vec{};
    Store(p, probability);
    const Vec dscore = probability * (Load(dp) - Set(dout_out)) * Set(scale);
    Store(dp, is_visible ? dscore : Vec{});
  }
}

}  // namespace

void TransposeKeys(const float* x, int64_t width, float* transposed) {
  const auto load = [](const float* p) {
    Quad quad;
    __builtin_memcpy(&quad, p, sizeof(quad));
    return quad;
  };
  for (int64_t key = 0; key < kKeysPerBlock; key += 4) {
    for (int64_t d = 0; d < width; d += 4) {
      const float* const from = x + key * width + d;
      const Quad a = load(from), b = load(from + width);
      const Quad c = load(from + 2 * width), e = load(from + 3 * width);
      const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Quad ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Quad ce_low = __builtin_shufflevector(c, e, 0, 4, 1, 5);
      const Quad ce_high = __builtin_shufflevector(c, e, 2, 6, 3, 7);
      const Quad rows[4] = {__builtin_shufflevector(ab_low, ce_low, 0, 1, 4, 5),
                            __builtin_shufflevector(ab_low, ce_low, 2, 3, 6, 7),
                            __builtin_shufflevector(ab_high, ce_high, 0, 1, 4, 5),
                            __builtin_shufflevector(ab_high, ce_high, 2, 3, 6, 7)};
      for (int64_t i = 0; i < 4; ++i) {
        __builtin_memcpy(transposed + (d + i) * kKeysPerBlock + key, &rows[i], sizeof(Quad));
      }
    }
  }
}

void AttentionForwardBlock(const KeyBlock& keys, const ForwardRows& rows) {
  const int64_t width = keys.head_dim;
  float scores[kRowsAtOnce * kKeysPerBlock];
  float* out[kRowsAtOnce];
  for (int64_t first = 0; first < rows.count; first += kRowsAtOnce) {
    const int64_t count = rows.count - first < kRowsAtOnce ? rows.count - first : kRowsAtOnce;
    Scores(rows.q + first * width, count, keys.k_transposed, width, scores);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = first + i;
      out[i] = rows.out + r * width;
      TakeScores(scores + i * kKeysPerBlock, rows.visible[r], keys.scale, rows.max + r,
                 rows.sum + r, out[i], width);
    }
    SumOverKeys(count, out, {scores, kKeysPerBlock, 1}, rows.visible + first, keys.v, width);
  }
}

void AttentionBackwardBlock(const KeyBlock& keys, const BackwardRows& rows, float* const* dk,
                            float* const* dv) {
  const int64_t width = keys.head_dim;
  float p[kRowsAtOnce * kKeysPerBlock];
  float ds[kRowsAtOnce * kKeysPerBlock];
  for (int64_t first = 0; first < rows.count; first += kRowsAtOnce) {
    const int64_t count = rows.count - first < kRowsAtOnce ? rows.count - first : kRowsAtOnce;
    const float* const q = rows.q + first * width;
    const float* const dout = rows.dout + first * width;
    const int32_t* const visible = rows.visible + first;
    Scores(q, count, keys.k_transposed, width, p);
    Scores(dout, count, keys.v_transposed, width, ds);
    for (int64_t i = 0; i < count; ++i) {
      TakeGradients(p + i * kKeysPerBlock, ds + i * kKeysPerBlock, visible[i], keys.scale,
                    rows.lse[first + i], rows.dout_out[first + i]);
    }
    SumOverRows(count, dv, {p, 1, kKeysPerBlock}, visible, dout, width);
    SumOverRows(count, dk, {ds, 1, kKeysPerBlock}, visible, q, width);
    SumOverKeys(count, rows.dq + first, {ds, kKeysPerBlock, 1}, visible, keys.k, width);
  }
}

float OrderedDot(const float* x, const float* y, int64_t width) {
  float sum = 0;
  for (int64_t d = 0; d < width; ++d) sum = MulAdd(x[d], y[d], sum);
  return sum;
}

}  // namespace alchemist::ALCHEMIST_SIMD
