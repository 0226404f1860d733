// What the tests of LoRA's forward (linear_test) and backward (lora_test) share.
#ifndef ALCHEMIST_KERNELS_LORA_TESTING_H_
#define ALCHEMIST_KERNELS_LORA_TESTING_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "kernels/lora.h"
#include "kernels/lora_reference.h"
#include "kernels/testing.h"

namespace alchemist {

struct LoraShape {
  int64_t in = 0;
  int64_t rank = 0;
  int64_t out = 0;
};

template <typename T>
std::vector<T> ValuesAs(const TestMatrix& matrix) {
  return std::vector<T>(matrix.values().begin(), matrix.values().end());
}

struct TestAdapter {
  static constexpr float kScale = 1.7f;

  TestAdapter(const LoraShape& shape, Random* random)
      : shape(shape),
        a(TestMatrix::Normal(shape.rank, shape.in, random)),
        b(TestMatrix::Normal(shape.out, shape.rank, random)) {}

  LoraView view() const { return {a.const_view(), b.const_view(), kScale}; }

  const LoraShape shape;
  const TestMatrix a, b;
};

// Two adapters, with rows between them that have none.
struct TestAdapters {
  TestAdapters(const LoraShape& shape, int64_t rows, Random* random)
      : first(shape, random),
        second(shape, random),
        segments({{0, rows / 2, first.view()},
                  {rows / 2, 2, {}},
                  {rows / 2 + 2, rows - rows / 2 - 2, second.view()}}) {}

  // The parts of the segments in the rows of `cut`, counted from its first row.
  std::vector<LoraSegment> SegmentsIn(RowCut cut) const {
    std::vector<LoraSegment> inside;
    for (const LoraSegment& segment : segments) {
      const int64_t begin = std::max(segment.first_row, cut.first);
      const int64_t end = std::min(segment.first_row + segment.rows, cut.first + cut.count);
      if (begin < end) inside.push_back({begin - cut.first, end - begin, segment.weights});
    }
    return inside;
  }

  // function(reference of a segment's adapter, the segment).
  template <typename T, typename Function>
  void ForEachReference(const Function& function) const {
    for (const LoraSegment& segment : segments) {
      if (segment.weights.a.data == nullptr) continue;
      const TestAdapter& adapter = segment.first_row == 0 ? first : second;
      const LoraShape& shape = adapter.shape;
      const std::vector<T> a = ValuesAs<T>(adapter.a), b = ValuesAs<T>(adapter.b);
      function(LoraReference<T>{a.data(), b.data(), TestAdapter::kScale, shape.in, shape.rank,
                                shape.out},
               segment);
    }
  }

  const TestAdapter first, second;
  const std::vector<LoraSegment> segments;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_LORA_TESTING_H_
