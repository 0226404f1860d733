#include "kernels/thin_product_simd.h"

#include "kernels/simd.h"

namespace alchemist::ALCHEMIST_SIMD {
namespace {

// The first `count` lanes; the others are 0, and are not written.
ALCHEMIST_INLINE Vec LoadFirst(const float* p, int64_t count) {
  Vec v = {};
  for (int64_t i = 0; i < count; ++i) v[i] = p[i];
  return v;
}
ALCHEMIST_INLINE void StoreFirst(float* p, Vec v, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = v[i];
}

// kRows rows by kVectors vectors of columns, the last of which has `last` columns.
template <int64_t kRows, int64_t kVectors>
ALCHEMIST_INLINE void ThinBlock(const ThinArguments& a, int64_t row, int64_t column, int64_t last) {
  const float* const x = a.x + row * a.depth;
  float* const y = a.y + row * a.y_stride + column;
  const bool whole = last == kLanes;
  Vec sums[kRows][kVectors] = {};
  if (a.add) {
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t v = 0; v < kVectors; ++v) {
        const float* const from = y + r * a.y_stride + v * kLanes;
        sums[r][v] = whole || v + 1 < kVectors ? Load(from) : LoadFirst(from, last);
      }
    }
  }
  for (int64_t k = 0; k < a.depth; ++k) {
    Vec terms[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) {
      terms[v] = Load(a.m + k * a.m_stride + column + v * kLanes);
    }
    for (int64_t r = 0; r < kRows; ++r) {
      const Vec factor = Set(x[r * a.depth + k]);
      for (int64_t v = 0; v < kVectors; ++v) sums[r][v] = MulAdd(factor, terms[v], sums[r][v]);
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kVectors; ++v) {
      float* const to = y + r * a.y_stride + v * kLanes;
      if (whole || v + 1 < kVectors) {
        Store(to, sums[r][v]);
      } else {
        StoreFirst(to, sums[r][v], last);
      }
    }
  }
}

// All rows. Eight independent sums hide the latency of an addition.
template <int64_t kVectors>
ALCHEMIST_INLINE void ThinColumns(const ThinArguments& a, int64_t column, int64_t last) {
  constexpr int64_t kRows = kVectors == 1 ? 8 : 4;
  int64_t row = 0;
  for (; row + kRows <= a.rows; row += kRows) ThinBlock<kRows, kVectors>(a, row, column, last);
  for (; row < a.rows; ++row) ThinBlock<1, kVectors>(a, row, column, last);
}

}  // namespace

void ThinRows(const ThinArguments& a) {
  constexpr int64_t kVectors = kLanes == 16 ? 4 : 2;  // AVX2 has 16 registers.
  int64_t column = 0;
  for (; column + kVectors * kLanes <= a.columns; column += kVectors * kLanes) {
    ThinColumns<kVectors>(a, column, kLanes);
  }
  for (; column + kLanes <= a.columns; column += kLanes) ThinColumns<1>(a, column, kLanes);
  if (column < a.columns) ThinColumns<1>(a, column, a.columns - column);
}

}  // namespace alchemist::ALCHEMIST_SIMD
