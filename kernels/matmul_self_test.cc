// MatmulSelfTest: makes every kind of call to oneDNN that products of the given shapes will make,
// with all row counts in use, and compares the rows; and those of ShortProduct with oneDNN's.
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
#include "kernels/short_product.h"

namespace alchemist {
namespace {

// The matrices of one call, its rows made `rows`. Only what the call reads is written: of a large b
// with a few columns most pages are never touched.
class Trial {
 public:
  Trial(const OnednnMatmulShape& shape, int64_t rows)
      : shape_(shape),
        rows_(rows),
        a_(new float[rows * shape.a_stride]),  // Too much for bf16.
        b_(new float[BRows() * shape.b_stride]),
        c_(new float[rows * shape.columns]),
        wanted_(rows * shape.columns) {
    Random random(1);
    Fill(a_.get(), rows, shape.depth, shape.a_stride, &random);
    std::fill_n(reinterpret_cast<std::byte*>(a_.get()), shape.depth * BytesPerElement(shape.dtype),
                std::byte{0});  // A row of zeros, too.
    Fill(b_.get(), BRows(), BColumns(), shape.b_stride, &random);
    Run(0, rows, wanted_.data());
  }

  // Whether rows [first, first + count), computed alone, have the bits that they had among all.
  bool KeepsBits(int64_t first, int64_t count) {
    Run(first, count, c_.get());
    return HasBits(first, count);
  }

  // Whether ShortProduct in parts of `part` terms gives the bits that oneDNN gave the first rows.
  bool IsShortProduct(int64_t part, int64_t count) {
    ShortProduct({a_.get(), shape_.dtype, shape_.a_stride, b_.get(), shape_.dtype, shape_.b_stride,
                  shape_.depth},
                 part, {c_.get(), count, shape_.columns, DType::kF32});
    return HasBits(0, count);
  }

  // Whether bf16 operands gave what they give when they are widened first. The bound is far below
  // the rounding of anything to bf16, and f32 sums of this depth stay far below the bound.
  bool AgreesWithF32() {
    OnednnMatmulShape shape = shape_;
    shape.dtype = DType::kF32;
    shape.rows = rows_;
    const std::vector<float> a = Widened(a_.get(), rows_, shape.a_stride);
    const std::vector<float> b = Widened(b_.get(), BRows(), shape.b_stride);
    OnednnMatmul(shape, a.data(), b.data(), c_.get());
    double difference = 0, norm = 0;
    for (size_t i = 0; i < wanted_.size(); ++i) {
      const double wide = c_[i];
      const double error = wanted_[i] - wide;
      difference += error * error;
      norm += wide * wide;
    }
    return std::sqrt(difference) <= shape.depth * 0x1p-24 * std::sqrt(norm);
  }

 private:
  // Whether c_ has what rows [first, first + count) had among all.
  bool HasBits(int64_t first, int64_t count) const {
    return std::memcmp(&wanted_[first * shape_.columns], c_.get(),
                       count * shape_.columns * sizeof(float)) == 0;
  }

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

  void Run(int64_t first, int64_t count, float* c) {
    OnednnMatmulShape shape = shape_;
    shape.rows = count;
    const auto* const a = reinterpret_cast<const std::byte*>(a_.get());
    OnednnMatmul(shape, a + first * shape.a_stride * BytesPerElement(shape.dtype), b_.get(), c);
  }

  const OnednnMatmulShape shape_;
  const int64_t rows_;
  const std::unique_ptr<float[]> a_, b_, c_;
  std::vector<float> wanted_;
};

using Calls = absl::flat_hash_set<OnednnMatmulShape>;

absl::Status TryCall(const OnednnMatmulShape& shape, int64_t tile_rows) {
  Trial trial(shape, tile_rows);
  for (int64_t count : {16, 48, 64}) {
    for (int64_t first : {int64_t{0}, (tile_rows - count) / 2, tile_rows - count}) {
      if (trial.KeepsBits(first, count)) continue;
      return absl::InternalError(absl::StrCat(
          "oneDNN ", OnednnVersion(), " gives rows [", first, ", ", first + count, ") of ",
          tile_rows, " other bits when computed alone: depth ", shape.depth, ", columns ",
          shape.columns, shape.b_transposed ? ", weights transposed, " : ", weights plain, ",
          DTypeName(shape.dtype)));
    }
  }
  return absl::OkStatus();
}

absl::Status TryCalls(const Calls& calls, int64_t tile_rows) {
  for (const OnednnMatmulShape& call : calls) RETURN_IF_ERROR(TryCall(call, tile_rows));
  return absl::OkStatus();
}

// The tallest tiles whose rows keep their bits in all of `calls`.
absl::StatusOr<int64_t> TallestTiles(const Calls& calls) {
  if (TryCalls(calls, kTallTileRows).ok()) return kTallTileRows;
  RETURN_IF_ERROR(TryCalls(calls, kTileRows));
  return kTileRows;
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

// For products of bf16 as it is; 0 when they are not to be used.
int64_t Bf16TileRows(const Calls& calls) {
  if (!OnednnPrefersBf16()) return 0;
  const bool agrees = std::all_of(calls.begin(), calls.end(), [](const auto& call) {
    return Trial(call, kTileRows).AgreesWithF32();
  });
  return agrees ? TallestTiles(calls).value_or(0) : 0;
}

// In parts of how many terms oneDNN sums, where that is one of those that it was seen to use.
ShortParts ShortPartsOf(const Calls& calls) {
  ShortParts parts;
  for (const OnednnMatmulShape& call : calls) {
    const ShortOperands operands = {.x_type = call.dtype,
                                    .x_stride = call.a_stride,
                                    .w_type = call.dtype,
                                    .w_stride = call.b_stride,
                                    .depth = call.depth};
    if (!call.b_transposed || !HasShortProduct(operands, call.columns)) continue;
    Trial trial(call, kTileRows);
    for (const int64_t part : {512, 1024, 2048, 4096}) {
      if (!trial.IsShortProduct(part, kShortRowsMax) || !trial.IsShortProduct(part, 7)) continue;
      parts[call] = part;
      break;
    }
  }
  return parts;
}

}  // namespace

absl::Status MatmulSelfTest(absl::Span<const MatmulShape> shapes, DType weights) {
  Calls calls = CallsOf(shapes, weights, DType::kF32);
  ASSIGN_OR_RETURN(const int64_t f32_rows, TallestTiles(calls));
  SetTileRows(DType::kF32, f32_rows);
  int64_t bf16_rows = 0;
  if (weights == DType::kBf16) {
    const Calls bf16_calls = CallsOf(shapes, weights, DType::kBf16);
    bf16_rows = Bf16TileRows(bf16_calls);
    if (bf16_rows > 0) calls.insert(bf16_calls.begin(), bf16_calls.end());
  }
  SetTileRows(DType::kBf16, bf16_rows);
  SetShortParts(ShortPartsOf(calls));
  return absl::OkStatus();
}

}  // namespace alchemist
