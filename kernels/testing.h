// What the tests of ops share: matrices between sentinels, error norms, STYLE.md's 2x rule, and
// gradients by complex step.
#ifndef ALCHEMIST_KERNELS_TESTING_H_
#define ALCHEMIST_KERNELS_TESTING_H_

#include <complex>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "base/random.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"

namespace alchemist {

// The storage types that ops are tested in.
inline constexpr DType kDTypesForTest[] = {DType::kF32, DType::kBf16};

// A matrix [rows, width] of f32 or bf16 that owns its memory, 64-byte aligned, with sentinels
// before and after it; whoever wrote over one fails the test when the matrix is destroyed. Move
// only.
class TestMatrix {
 public:
  TestMatrix(int64_t rows, int64_t width, float value = 0, DType dtype = DType::kF32);
  static TestMatrix Normal(int64_t rows, int64_t width, Random* random, double deviation = 1,
                           DType dtype = DType::kF32);
  TestMatrix(TestMatrix&& other) noexcept;
  TestMatrix& operator=(TestMatrix&& other) noexcept;
  ~TestMatrix();

  TestMatrix Copy() const;
  TensorView view() { return {begin(), rows_, width_, dtype_}; }
  ConstTensorView view() const { return {begin(), rows_, width_, dtype_}; }
  ConstTensorView const_view() const { return view(); }
  // The elements as f32. Of a bf16 matrix a copy that the next call makes anew.
  absl::Span<const float> values() const;
  // f32 only.
  float* Row(int64_t row) { return view().Row<float>(row); }
  const float* Row(int64_t row) const { return view().Row<float>(row); }
  absl::Span<float> mutable_values();
  std::vector<double> AsDouble() const;
  int64_t rows() const { return rows_; }
  int64_t width() const { return width_; }

 private:
  std::byte* begin() const;
  void Set(int64_t i, float value);
  void CheckSentinels() const;

  int64_t rows_;
  int64_t width_;
  DType dtype_;
  std::vector<std::byte> memory_;
  mutable std::vector<float> widened_;  // bf16: what values() returned.
};

// What is left of `values` when they are stored as `dtype`: the yardstick of ops that round once.
std::vector<float> Stored(DType dtype, absl::Span<const float> values);

// Root of the summed squared differences over root of the summed squares of `reference`.
double RelativeError(absl::Span<const float> got, absl::Span<const double> reference);
double RelativeError(absl::Span<const double> got, absl::Span<const double> reference);

// STYLE.md rule 21: the production kernel's error against `reference` (in double) is at most twice
// the error of the plain loop in the same type. `what` names the tensor.
void ExpectWithinTwiceNaive(const char* what, absl::Span<const float> production,
                            absl::Span<const float> naive, absl::Span<const double> reference);

// EXPECTs the same bits (so that NaNs compare too, and 0 differs from -0).
void ExpectSameBits(const char* what, absl::Span<const float> got, absl::Span<const float> wanted);

// The gradient of a real analytic function of x: Im f(x + ih) / h. Without cancellation, so exact
// to rounding (Squire and Trapp 1998). `function` takes and returns std::complex<double>.
template <typename Function>
std::vector<double> ComplexStepGradient(const Function& function, absl::Span<const double> x) {
  constexpr double kStep = 1e-100;
  std::vector<std::complex<double>> point(x.begin(), x.end());
  std::vector<double> gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    point[i] = {x[i], kStep};
    gradient[i] = function(point).imag() / kStep;
    point[i] = x[i];
  }
  return gradient;
}

// EXPECTs two gradients in double equal up to the rounding of `operations` dependent operations per
// element.
void ExpectSameGradient(const char* what, absl::Span<const double> got,
                        absl::Span<const double> complex_step, int64_t operations);

// Adjacent pieces that cover rows [0, rows).
struct RowCut {
  int64_t first = 0;
  int64_t count = 0;
};

// Calls check(cut, stream) with [0, rows) cut into single rows, into uneven pieces and not at all,
// each on a pool of 1 and of 2 threads: what an op computes for a row must have the same bits.
void ForEachCut(int64_t rows,
                absl::FunctionRef<void(const std::vector<RowCut>& cut, Stream& stream)> check);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_TESTING_H_
