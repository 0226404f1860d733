#include "kernels/attention_bf16.h"

#include "kernels/running_softmax.h"
#include "kernels/simd.h"
#include "kernels/transpose_lanes.h"

namespace alchemist::avx512_bf16 {
namespace {

using avx512::IntVec;
using avx512::kKeyVectors;
using avx512::kLanes;
using avx512::Load;
using avx512::LoadBits;
using avx512::Store;
using avx512::StoreBits;
using avx512::Transpose;
using avx512::Vec;

// Elements of a vector of bf16.
constexpr int64_t kPairs = 2 * kLanes;
static_assert(kPairs == kHeadDimGranule && kPairs == kKeysPerBlock);

// Row-heads whose scores are held at a time, as in attention_simd.cc, and those whose scores are
// made side by side: sixteen independent sums.
constexpr int64_t kRowsAtOnce = 48;
constexpr int64_t kScoreRows = 8;

// Outputs that are summed side by side, and vectors of each.
constexpr int64_t kSumRows = 4;
constexpr int64_t kSumVectors = 4;

typedef uint32_t UintVec __attribute__((vector_size(4 * kLanes)));

// The pair at p in every lane.
ALCHEMIST_INLINE __m512bh SetPair(const uint16_t* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  return (__m512bh)_mm512_set1_epi32(pair);
}

// scores [kRows, 32] = q [kRows, width] . keys, each sum over the width in order of its pairs.
template <int64_t kRows>
ALCHEMIST_INLINE void ScoresOfRows(const uint16_t* q, const uint16_t* keys, int64_t width,
                                   float* scores) {
  Vec sums[kRows][kKeyVectors] = {};
  for (int64_t d = 0; d < width; d += 2) {
    __m512bh k[kKeyVectors];
    for (int64_t v = 0; v < kKeyVectors; ++v) {
      k[v] = (__m512bh)LoadBits(keys + d * kKeysPerBlock + v * kPairs);
    }
    for (int64_t r = 0; r < kRows; ++r) {
      const __m512bh pair = SetPair(q + r * width + d);
      for (int64_t v = 0; v < kKeyVectors; ++v) {
        sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pair, k[v]);
      }
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kKeyVectors; ++v) {
      Store(scores + r * kKeysPerBlock + v * kLanes, sums[r][v]);
    }
  }
}

void Scores(const uint16_t* q, int64_t rows, const uint16_t* keys, int64_t width, float* scores) {
  int64_t r = 0;
  const auto some = [&]<int64_t kRows>() {
    for (; r + kRows <= rows; r += kRows) {
      ScoresOfRows<kRows>(q + r * width, keys, width, scores + r * kKeysPerBlock);
    }
  };
  some.operator()<kScoreRows>();
  some.operator()<3>();
  some.operator()<1>();
}

// out[r] += sum over the pairs of keys [begin, end), in order, of p(r, pair) * v(pair), for
// kVectors vectors of each row from `column`. With `kHalf` the pairs' second keys are left out, not
// even as 0 times an infinity.
template <int64_t kRows, int64_t kVectors, bool kHalf>
ALCHEMIST_INLINE void SumColumns(float* const* out, const uint16_t* p, const uint16_t* values,
                                 int64_t width, int64_t begin, int64_t end, int64_t column) {
  Vec sums[kRows][kVectors];
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kVectors; ++v) sums[r][v] = Load(out[r] + column + v * kLanes);
  }
  for (int64_t pair = begin; pair < end; ++pair) {
    __m512bh terms[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) {
      IntVec bits = LoadBits(values + 2 * (pair * width + column + v * kLanes));
      if constexpr (kHalf) bits &= 0xffff;
      terms[v] = (__m512bh)bits;
    }
    for (int64_t r = 0; r < kRows; ++r) {
      const __m512bh weights = SetPair(p + r * kKeysPerBlock + 2 * pair);
      for (int64_t v = 0; v < kVectors; ++v) {
        sums[r][v] = _mm512_dpbf16_ps(sums[r][v], weights, terms[v]);
      }
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kVectors; ++v) Store(out[r] + column + v * kLanes, sums[r][v]);
  }
}

template <int64_t kRows, bool kHalf = false>
ALCHEMIST_INLINE void SumRows(float* const* out, const uint16_t* p, const uint16_t* values,
                              int64_t width, int64_t begin, int64_t end) {
  if (begin == end) return;
  int64_t column = 0;
  for (; column + kSumVectors * kLanes <= width; column += kSumVectors * kLanes) {
    SumColumns<kRows, kSumVectors, kHalf>(out, p, values, width, begin, end, column);
  }
  for (; column < width; column += 2 * kLanes) {
    SumColumns<kRows, 2, kHalf>(out, p, values, width, begin, end, column);
  }
}

// What one row-head sees behind its first `begin` pairs of keys.
ALCHEMIST_INLINE void SumTheRest(float* const* out, const uint16_t* p, int32_t visible,
                                 const uint16_t* values, int64_t width, int64_t begin) {
  const int64_t whole = visible / 2;
  SumRows<1>(out, p, values, width, begin, whole);
  if (visible % 2 != 0) SumRows<1, /*kHalf=*/true>(out, p, values, width, whole, whole + 1);
}

// out[r] += sum over the keys that row-head r sees, in order of their pairs.
void SumOverKeys(int64_t rows, float* const* out, const uint16_t* p, const int32_t* visible,
                 const uint16_t* values, int64_t width) {
  int64_t r = 0;
  for (; r + kSumRows <= rows; r += kSumRows) {
    const int64_t common = visible[r] / 2;
    SumRows<kSumRows>(out + r, p + r * kKeysPerBlock, values, width, 0, common);
    for (int64_t i = r; i < r + kSumRows; ++i) {
      SumTheRest(out + i, p + i * kKeysPerBlock, visible[i], values, width, common);
    }
  }
  for (; r < rows; ++r) {
    SumTheRest(out + r, p + r * kKeysPerBlock, visible[r], values, width, 0);
  }
}

}  // namespace

void PairKeys(const uint16_t* const (&rows)[kKeysPerBlock], int64_t width, uint16_t* pairs) {
  for (int64_t key = 0; key < kKeysPerBlock; key += kLanes) {
    for (int64_t d = 0; d < width; d += kPairs) {
      IntVec lanes[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) lanes[i] = LoadBits(rows[key + i] + d);
      Transpose(lanes);
      for (int64_t i = 0; i < kLanes; ++i) {
        StoreBits(pairs + (d + 2 * i) * kKeysPerBlock + 2 * key, lanes[i]);
      }
    }
  }
}

void PairValues(const uint16_t* const (&rows)[kKeysPerBlock], int64_t width, uint16_t* pairs) {
  for (int64_t key = 0; key < kKeysPerBlock; key += 2) {
    for (int64_t d = 0; d < width; d += kLanes) {
      // A widened value's bits are its upper half.
      const IntVec first = (IntVec)Load(rows[key] + d), second = (IntVec)Load(rows[key + 1] + d);
      StoreBits(pairs + key * width + 2 * d, (IntVec)((UintVec)first >> 16) | second);
    }
  }
}

void AttentionForwardBlock(const KeyPairs& keys, const uint16_t* q, const ForwardRows& rows) {
  const int64_t width = keys.head_dim;
  float scores[kRowsAtOnce * kKeysPerBlock];
  uint16_t p[kRowsAtOnce * kKeysPerBlock];
  float* out[kRowsAtOnce];
  for (int64_t first = 0; first < rows.count; first += kRowsAtOnce) {
    const int64_t count = rows.count - first < kRowsAtOnce ? rows.count - first : kRowsAtOnce;
    Scores(q + first * width, count, keys.k, width, scores);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = first + i;
      float* const of_row = scores + i * kKeysPerBlock;
      out[i] = rows.out + r * width;
      avx512::TakeScores(of_row, rows.visible[r], keys.scale, rows.max + r, rows.sum + r, out[i],
                         width);
      const __m512bh rounded = _mm512_cvtne2ps_pbh(Load(of_row + kLanes), Load(of_row));
      StoreBits(p + i * kKeysPerBlock, (IntVec)rounded);
    }
    SumOverKeys(count, out, p, rows.visible + first, keys.v, width);
  }
}

}  // namespace alchemist::avx512_bf16
