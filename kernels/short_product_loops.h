// The loops that the versions of ShortProduct share, for kernels with AVX-512 (simd.h).
//
// A lane of 4 bytes is a term of the sums: one f32, or two neighbours of bf16. The terms of 32
// outputs are turned into a panel, [terms, 32 lanes], in the first-level cache, and all rows go
// through it. A library does that too, but for a whole matrix and by way of memory, which few rows
// do not pay for. A sum is made in order within each part, and the parts are added in order.
#ifndef ALCHEMIST_KERNELS_SHORT_PRODUCT_LOOPS_H_
#define ALCHEMIST_KERNELS_SHORT_PRODUCT_LOOPS_H_

#include <cstdint>

#include "kernels/short_product_simd.h"
#include "kernels/simd.h"
#include "kernels/transpose_lanes.h"

namespace alchemist::avx512 {

constexpr int64_t kPanelVectors = 2;
constexpr int64_t kPanelLanes = kPanelVectors * kLanes;
constexpr int64_t kPanelTerms = 128;
constexpr int64_t kTermsAtOnce = 16;
constexpr int64_t kRowsAtOnce = 8;  // With two vectors 16 independent sums.

// The rows of 16 outputs, 64 bytes of each, turned.
template <typename Weight>
ALCHEMIST_INLINE void LoadTurned(const Weight* w, int64_t stride, IntVec (&lanes)[kLanes]) {
  for (int64_t i = 0; i < kLanes; ++i) {
    lanes[i] = LoadBits(w + i * stride);
  }
  Transpose(lanes);
}

// Four bytes in every lane.
ALCHEMIST_INLINE Vec Broadcast(const float* term) {
  int32_t bits;
  __builtin_memcpy(&bits, term, sizeof(bits));
  return (Vec)(IntVec{} + bits);
}

// The weights that the next panel is made of, which are asked for while this one is multiplied:
// `lines` of them with every kTermsAtOnce terms, so that memory is at work all the time. They may
// lie behind W: asking touches nothing.
struct NextPanel {
  const char* rows;
  int64_t stride;  // Bytes.
  int64_t lines;
  int64_t asked = 0;
};

ALCHEMIST_INLINE void Ask(NextPanel& next) {
  for (const int64_t end = next.asked + next.lines; next.asked < end; ++next.asked) {
    __builtin_prefetch(next.rows + next.asked % kPanelLanes * next.stride +
                       next.asked / kPanelLanes * 64);
  }
}

// sums [kRows, 32 lanes] += x [kRows, terms] . panel, for kVectors vectors of lanes.
template <typename Terms, int64_t kRows, int64_t kVectors>
ALCHEMIST_INLINE void AddPanelToRows(const float* x, int64_t x_stride, const float* panel,
                                     int64_t terms, NextPanel& next, float* sums) {
  Vec of_rows[kRows][kVectors];
  const float* rows[kRows];
  for (int64_t r = 0; r < kRows; ++r) {
    rows[r] = x + r * x_stride;
    for (int64_t v = 0; v < kVectors; ++v) {
      of_rows[r][v] = Load(sums + r * kPanelLanes + v * kLanes);
    }
  }
  for (int64_t first = 0; first < terms; first += kTermsAtOnce) {
    Ask(next);
    for (int64_t t = first; t < first + kTermsAtOnce; ++t) {
      Vec outputs[kVectors];
      for (int64_t v = 0; v < kVectors; ++v) {
        outputs[v] = Load(panel + t * kPanelLanes + v * kLanes);
      }
      for (int64_t r = 0; r < kRows; ++r) {
        const Vec term = Broadcast(rows[r] + t);
        for (int64_t v = 0; v < kVectors; ++v) {
          of_rows[r][v] = Terms::MultiplyAdd(term, outputs[v], of_rows[r][v]);
        }
      }
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kVectors; ++v) {
      Store(sums + r * kPanelLanes + v * kLanes, of_rows[r][v]);
    }
  }
}

template <typename Terms, int64_t kVectors>
ALCHEMIST_INLINE void AddPanel(const float* x, int64_t rows, int64_t x_stride, const float* panel,
                               int64_t terms, NextPanel next, float* sums) {
  int64_t r = 0;
  const auto some = [&]<int64_t kRows>() {
    for (; r + kRows <= rows; r += kRows) {
      AddPanelToRows<Terms, kRows, kVectors>(x + r * x_stride, x_stride, panel, terms, next,
                                             sums + r * kPanelLanes);
    }
  };
  some.template operator()<kRowsAtOnce>();
  some.template operator()<4>();
  some.template operator()<1>();
}

// Columns of y, kVectors vectors of them from output `n`. Terms::kElements elements are a term, and
// Terms::kLines lines of 64 bytes a term of a panel's 32 rows.
template <typename Terms, int64_t kVectors, typename X, typename Weight>
ALCHEMIST_INLINE void ShortOutputs(const ShortProductArguments<X, Weight>& a, int64_t n) {
  alignas(64) float panel[kPanelTerms * kPanelLanes];
  alignas(64) float sums[kShortRowsMax * kPanelLanes];
  constexpr int64_t kElements = Terms::kElements;
  const int64_t x_stride = a.x_stride / kElements;
  const int64_t groups = a.rows / kRowsAtOnce + a.rows % kRowsAtOnce / 4 + a.rows % 4;
  const int64_t lines = (Terms::kLines * kTermsAtOnce + groups - 1) / groups;
  for (int64_t part = 0; part < a.depth; part += a.part) {
    const int64_t end = part + a.part < a.depth ? part + a.part : a.depth;
    for (int64_t i = 0; i < a.rows * kPanelLanes; i += kLanes) Store(sums + i, Vec{});
    for (int64_t k = part; k < end; k += kPanelTerms * kElements) {
      const int64_t terms =
          (end - k < kPanelTerms * kElements ? end - k : kPanelTerms * kElements) / kElements;
      for (int64_t v = 0; v < kVectors; ++v) {
        Terms::Fill(a.w + (n + v * kLanes) * a.w_stride + k, a.w_stride, terms, panel + v * kLanes);
      }
      const int64_t next_k = k + terms * kElements;
      const Weight* const next =
          next_k < a.depth ? a.w + n * a.w_stride + next_k : a.w + (n + kPanelLanes) * a.w_stride;
      AddPanel<Terms, kVectors>(
          reinterpret_cast<const float*>(a.x) + k / kElements, a.rows, x_stride, panel, terms,
          {reinterpret_cast<const char*>(next), a.w_stride * int64_t{sizeof(Weight)}, lines}, sums);
    }
    for (int64_t t = 0; t < a.rows; ++t) {
      for (int64_t v = 0; v < kVectors; ++v) {
        float* const y = a.y + t * a.outputs + n + v * kLanes;
        const Vec of_part = Load(sums + t * kPanelLanes + v * kLanes);
        Store(y, part == 0 ? of_part : Load(y) + of_part);
      }
    }
  }
}

template <typename Terms, typename X, typename Weight>
ALCHEMIST_INLINE void ShortProductOf(const ShortProductArguments<X, Weight>& a) {
  int64_t n = 0;
  for (; n + kPanelLanes <= a.outputs; n += kPanelLanes) ShortOutputs<Terms, kPanelVectors>(a, n);
  if (n < a.outputs) ShortOutputs<Terms, 1>(a, n);
}

}  // namespace alchemist::avx512

#endif  // ALCHEMIST_KERNELS_SHORT_PRODUCT_LOOPS_H_
