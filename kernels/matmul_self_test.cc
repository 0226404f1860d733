// MatmulSelfTest: makes every kind of call to oneDNN that products of the given shapes will make,
// with all row counts in use, and compares the rows.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "kernels/bf16.h"
#include "kernels/matmul.h"
#include "kernels/matmul_tiles.h"
#include "kernels/onednn.h"

namespace alchemist {
namespace {

std::vector<int64_t> RowCountsToTry(RowCounts counts) {
  if (counts == RowCounts::kPadded) return {16, 48};
  // Every remainder of a register block (4 to 16 rows in oneDNN's kernels), and their neighbours.
  return {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 15, 16, 17, 24, 31, 32, 33, 47, 48, 63};
}

// The matrices of one call with kTileRows rows. Only what the call reads is written: of a large b
// with a few columns most pages are never touched.
class Trial {
 public:
  explicit Trial(const OnednnMatmulShape& shape)
      : shape_(shape),
        a_(new float[kTileRows * shape.a_stride]),  // Too much for bf16.
        b_(new float[BRows() * shape.b_stride]),
        c_(new float[kTileRows * shape.c_stride]),
        wanted_(kTileRows * shape.columns) {
    Random random(1);
    Fill(a_.get(), kTileRows, shape.depth, shape.a_stride, &random);
    Fill(b_.get(), BRows(), BColumns(), shape.b_stride, &random);
    Run(0, kTileRows, shape.c_stride);
    for (int64_t t = 0; t < kTileRows; ++t) {
      std::memcpy(&wanted_[t * shape.columns], &c_[t * shape.c_stride],
                  shape.columns * sizeof(float));
    }
  }

  // Whether rows [first, first + count), computed alone and written with `c_stride`, have the bits
  // that they had among all.
  bool KeepsBits(int64_t first, int64_t count, int64_t c_stride) {
    Run(first, count, c_stride);
    for (int64_t t = 0; t < count; ++t) {
      if (std::memcmp(&wanted_[(first + t) * shape_.columns], &c_[t * c_stride],
                      shape_.columns * sizeof(float)) != 0) {
        return false;
      }
    }
    return true;
  }

  // Whether bf16 operands gave what they give when they are widened first. The bound is far below
  // the rounding of anything to bf16, and f32 sums of this depth stay far below the bound.
  bool AgreesWithF32() {
    OnednnMatmulShape shape = shape_;
    shape.dtype = DType::kF32;
    const std::vector<float> a = Widened(a_.get(), kTileRows, shape.a_stride);
    const std::vector<float> b = Widened(b_.get(), BRows(), shape.b_stride);
    OnednnMatmul(shape, a.data(), b.data(), c_.get());
    double difference = 0, norm = 0;
    for (int64_t t = 0; t < kTileRows; ++t) {
      for (int64_t j = 0; j < shape.columns; ++j) {
        const double wide = c_[t * shape.c_stride + j];
        const double error = wanted_[t * shape.columns + j] - wide;
        difference += error * error;
        norm += wide * wide;
      }
    }
    return std::sqrt(difference) <= shape.depth * 0x1p-24 * std::sqrt(norm);
  }

 private:
  int64_t BRows() const { return shape_.b_transposed ? shape_.columns : shape_.depth; }
  int64_t BColumns() const { return shape_.b_transposed ? shape_.depth : shape_.columns; }

  void Fill(float* matrix, int64_t rows, int64_t columns, int64_t stride, Random* random) const {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        const float value = static_cast<float>(random->Uniform() - 0.5);
        if (shape_.dtype == DType::kF32) {
          matrix[i * stride + j] = value;
        } else {
          reinterpret_cast<Bf16*>(matrix)[i * stride + j] = ToBf16(value);
        }
      }
    }
  }

  static std::vector<float> Widened(const float* matrix, int64_t rows, int64_t stride) {
    std::vector<float> wide(rows * stride);
    Widen(reinterpret_cast<const Bf16*>(matrix), rows * stride, wide.data());
    return wide;
  }

  void Run(int64_t first, int64_t count, int64_t c_stride) {
    OnednnMatmulShape shape = shape_;
    shape.rows = count;
    shape.c_stride = c_stride;
    OnednnMatmul(shape, a_.get() + first * shape.a_stride, b_.get(), c_.get());
  }

  const OnednnMatmulShape shape_;
  const std::unique_ptr<float[]> a_, b_, c_;
  std::vector<float> wanted_;
};

absl::Status TryCall(const OnednnMatmulShape& shape, RowCounts counts) {
  Trial trial(shape);
  for (int64_t count : RowCountsToTry(counts)) {
    for (int64_t first : {int64_t{0}, kTileRows - count}) {
      if (trial.KeepsBits(first, count, shape.c_stride) &&
          trial.KeepsBits(first, count, shape.columns)) {
        continue;
      }
      return absl::InternalError(absl::StrCat(
          "oneDNN ", OnednnVersion(), " gives rows [", first, ", ", first + count, ") of ",
          kTileRows, " other bits when computed alone: depth ", shape.depth, ", columns ",
          shape.columns, shape.b_transposed ? ", weights transposed" : ", weights plain"));
    }
  }
  return absl::OkStatus();
}

using Calls = absl::flat_hash_set<OnednnMatmulShape>;

absl::Status TryCalls(const Calls& calls, RowCounts counts) {
  for (const OnednnMatmulShape& call : calls) RETURN_IF_ERROR(TryCall(call, counts));
  return absl::OkStatus();
}

// The calls of all products with weights of these shapes; `called` as in ProductKind.
Calls CallsOf(absl::Span<const MatmulShape> shapes, DType stored, DType called) {
  Calls calls;
  for (const MatmulShape& shape : shapes) {
    for (const auto& call : ProductCalls({shape.in, shape.out, true, stored, called})) {
      calls.insert(call);
    }
    if (called == DType::kBf16) continue;  // Gradients are f32.
    for (const auto& call : ProductCalls({shape.out, shape.in, false, stored, called})) {
      calls.insert(call);
    }
  }
  return calls;
}

bool Bf16CallsAreRight(const Calls& calls, RowCounts counts) {
  if (!OnednnHasBf16() || !TryCalls(calls, counts).ok()) return false;
  return std::all_of(calls.begin(), calls.end(),
                     [](const auto& call) { return Trial(call).AgreesWithF32(); });
}

}  // namespace

absl::Status MatmulSelfTest(absl::Span<const MatmulShape> shapes, DType weights) {
  const Calls calls = CallsOf(shapes, weights, DType::kF32);
  const RowCounts counts =
      TryCalls(calls, RowCounts::kAny).ok() ? RowCounts::kAny : RowCounts::kPadded;
  SetRowCounts(counts);
  if (counts == RowCounts::kPadded) RETURN_IF_ERROR(TryCalls(calls, counts));
  SetUsesBf16Calls(weights == DType::kBf16 &&
                   Bf16CallsAreRight(CallsOf(shapes, weights, DType::kBf16), counts));
  return absl::OkStatus();
}

}  // namespace alchemist
