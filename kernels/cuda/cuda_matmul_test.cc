#include "kernels/cuda/cuda_matmul.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/cuda/cublas_lt_entries.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr CudaMatmulSize kSmall = {.rows = 3, .inputs = 5, .outputs = 2};

std::vector<float> Random(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = ToF32(ToBf16(uniform(random)));
  return values;
}

// y = x * w^T in f64, row-major.
std::vector<float> Multiply(const std::vector<float>& x, const std::vector<float>& w,
                            const CudaMatmulSize& size) {
  std::vector<float> y(size.rows * size.outputs);
  for (int64_t row = 0; row < size.rows; ++row) {
    for (int64_t output = 0; output < size.outputs; ++output) {
      double sum = 0;
      for (int64_t i = 0; i < size.inputs; ++i) {
        sum += double{x[row * size.inputs + i]} * w[output * size.inputs + i];
      }
      y[row * size.outputs + output] = static_cast<float>(sum);
    }
  }
  return y;
}

// What a column-major library does with the arguments.
std::vector<float> MultiplyColumnMajor(const std::vector<float>& a, const std::vector<float>& b,
                                       const ColumnMajorMatmul& matmul) {
  std::vector<float> d(matmul.d.columns * matmul.d.stride);
  for (int64_t column = 0; column < matmul.d.columns; ++column) {
    for (int64_t row = 0; row < matmul.d.rows; ++row) {
      double sum = 0;
      for (int64_t k = 0; k < matmul.b.rows; ++k) {
        sum += double{a[k + row * matmul.a.stride]} * b[k + column * matmul.b.stride];
      }
      d[row + column * matmul.d.stride] = static_cast<float>(sum);
    }
  }
  return d;
}

TEST(CudaMatmulTest, ColumnMajorArgumentsGiveTheRowMajorProduct) {
  const std::vector<float> x = Random(kSmall.rows * kSmall.inputs, 1);
  const std::vector<float> w = Random(kSmall.outputs * kSmall.inputs, 2);
  const ColumnMajorMatmul matmul = AsColumnMajor(kSmall);
  EXPECT_EQ(matmul.a.rows, matmul.b.rows) << "what is summed over";
  EXPECT_EQ(matmul.a.columns, matmul.d.rows);
  EXPECT_EQ(matmul.b.columns, matmul.d.columns);
  EXPECT_EQ(MultiplyColumnMajor(w, x, matmul), Multiply(x, w, kSmall));
}

TEST(CudaMatmulTest, TheLibraryHasEveryEntryAndSaysItsVersion) {
  const auto entries = CublasLtEntries::Load({});
  if (absl::IsNotFound(entries.status())) GTEST_SKIP() << entries.status();
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_THAT((*entries)->Version(), StartsWith("13."));
  const absl::Status status = (*entries)->Check(CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmul");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("CUBLAS_STATUS_NOT_SUPPORTED"));
}

class CudaMatmulOnGpuTest : public ::testing::TestWithParam<CudaMatmulSize> {
 protected:
  void SetUp() override {
    auto device = CudaDevice::Open({});
    if (absl::IsNotFound(device.status())) GTEST_SKIP() << device.status();
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    auto cublas = CublasLt::Load(device_.get());
    if (absl::IsNotFound(cublas.status())) GTEST_SKIP() << cublas.status();
    ASSERT_TRUE(cublas.ok()) << cublas.status();
    cublas_ = *std::move(cublas);
  }

  Buffer Upload(const std::vector<float>& values, CudaStream& stream) {
    std::vector<Bf16> bf16(values.size());
    Round(values.data(), values.size(), bf16.data());
    const int64_t bytes = bf16.size() * sizeof(Bf16);
    Buffer buffer = *device_->Allocate(bytes);
    EXPECT_TRUE(stream.CopyToDevice(AddressOf(buffer), bf16.data(), bytes).ok());
    return buffer;
  }
  static uint64_t AddressOf(const Buffer& buffer) {
    return reinterpret_cast<uint64_t>(buffer.data());
  }

  std::unique_ptr<CudaDevice> device_;
  std::unique_ptr<CublasLt> cublas_;
};

TEST_P(CudaMatmulOnGpuTest, RoundsTheExactProductOnce) {
  const CudaMatmulSize size = GetParam();
  const std::vector<float> x = Random(size.rows * size.inputs, 1);
  const std::vector<float> w = Random(size.outputs * size.inputs, 2);
  CudaStream stream = *CudaStream::Create(device_.get());
  const Buffer x_device = Upload(x, stream);
  const Buffer w_device = Upload(w, stream);
  const int64_t bytes = size.rows * size.outputs * sizeof(Bf16);
  const Buffer y_device = *device_->Allocate(bytes);
  auto matmul = CudaMatmul::Create(cublas_.get(), size);
  ASSERT_TRUE(matmul.ok()) << matmul.status();
  EXPECT_LE(matmul->workspace_bytes(), kCudaMatmulWorkspaceBytesMax);
  const absl::Status run =
      matmul->Run(AddressOf(x_device), AddressOf(w_device), AddressOf(y_device), stream);
  ASSERT_TRUE(run.ok()) << run;
  std::vector<Bf16> y(size.rows * size.outputs);
  ASSERT_TRUE(stream.CopyToHost(y.data(), AddressOf(y_device), bytes).ok());
  ASSERT_TRUE(stream.Synchronize().ok());
  const std::vector<float> expected = Multiply(x, w, size);
  for (size_t i = 0; i < y.size(); ++i) {
    // Half a unit in the last place of bf16, and f32's error of the sum.
    const double tolerance = std::abs(expected[i]) / 256 + 1e-6 * static_cast<double>(size.inputs);
    ASSERT_NEAR(ToF32(y[i]), expected[i], tolerance) << "element " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, CudaMatmulOnGpuTest,
                         ::testing::Values(CudaMatmulSize{1, 256, 512},
                                           CudaMatmulSize{37, 896, 128},
                                           CudaMatmulSize{300, 128, 4864},
                                           CudaMatmulSize{64, 4096, 64}));

}  // namespace
}  // namespace alchemist
