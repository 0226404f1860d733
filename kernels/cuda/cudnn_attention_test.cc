#include "kernels/cuda/cudnn_attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "kernels/bf16.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/device.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;

std::vector<Bf16> Random(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-2, 2);
  std::vector<Bf16> values(count);
  for (Bf16& value : values) value = ToBf16(uniform(random));
  return values;
}

struct Attended {
  std::vector<double> output;       // [batch, tokens, heads, head_dim]
  std::vector<double> log_sum_exp;  // [batch, heads, tokens]
};

// One row of the softmax: of token `t` of head `h`.
void AttendRow(const std::vector<Bf16>& q, const std::vector<Bf16>& k, const std::vector<Bf16>& v,
               const CudnnAttentionShape& shape, int64_t b, int64_t h, int64_t t, Attended& to) {
  const int64_t dim = shape.head_dim;
  const int64_t kv_head = h / (shape.heads / shape.kv_heads);
  const auto kv_row = [&](int64_t s) {
    return ((b * shape.tokens + s) * shape.kv_heads + kv_head) * dim;
  };
  const int64_t q_row = ((b * shape.tokens + t) * shape.heads + h) * dim;
  double sum = 0;
  for (int64_t s = 0; s <= t; ++s) {
    double dot = 0;
    for (int64_t i = 0; i < dim; ++i) dot += double{ToF32(q[q_row + i])} * ToF32(k[kv_row(s) + i]);
    const double weight = std::exp(dot / std::sqrt(static_cast<double>(dim)));
    sum += weight;
    for (int64_t i = 0; i < dim; ++i) to.output[q_row + i] += weight * ToF32(v[kv_row(s) + i]);
  }
  for (int64_t i = 0; i < dim; ++i) to.output[q_row + i] /= sum;
  to.log_sum_exp[(b * shape.heads + h) * shape.tokens + t] = std::log(sum);
}

Attended Attend(const std::vector<Bf16>& q, const std::vector<Bf16>& k, const std::vector<Bf16>& v,
                const CudnnAttentionShape& shape) {
  Attended attended{.output = std::vector<double>(q.size()),
                    .log_sum_exp = std::vector<double>(shape.batch * shape.heads * shape.tokens)};
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t h = 0; h < shape.heads; ++h) {
      for (int64_t t = 0; t < shape.tokens; ++t) AttendRow(q, k, v, shape, b, h, t, attended);
    }
  }
  return attended;
}

uint64_t AddressOf(const Buffer& buffer) { return reinterpret_cast<uint64_t>(buffer.data()); }

class CudnnAttentionOnGpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto device = CudaDevice::Open({});
    if (absl::IsNotFound(device.status())) GTEST_SKIP() << device.status();
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    auto cudnn = CudnnHandle::Load(device_.get());
    if (absl::IsNotFound(cudnn.status())) GTEST_SKIP() << cudnn.status();
    ASSERT_TRUE(cudnn.ok()) << cudnn.status();
    cudnn_ = *std::move(cudnn);
  }

  Buffer Upload(const std::vector<Bf16>& values, CudaStream& stream) {
    const int64_t bytes = values.size() * sizeof(Bf16);
    Buffer buffer = *device_->Allocate(bytes);
    EXPECT_TRUE(stream.CopyToDevice(AddressOf(buffer), values.data(), bytes).ok());
    return buffer;
  }

  std::unique_ptr<CudaDevice> device_;
  std::unique_ptr<CudnnHandle> cudnn_;
};

class CudnnAttentionShapesTest : public CudnnAttentionOnGpuTest,
                                 public ::testing::WithParamInterface<CudnnAttentionShape> {};

TEST_P(CudnnAttentionShapesTest, AgreesWithPlainLoops) {
  const CudnnAttentionShape shape = GetParam();
  const int64_t rows = shape.batch * shape.tokens;
  const std::vector<Bf16> q = Random(rows * shape.heads * shape.head_dim, 1);
  const std::vector<Bf16> k = Random(rows * shape.kv_heads * shape.head_dim, 2);
  const std::vector<Bf16> v = Random(rows * shape.kv_heads * shape.head_dim, 3);
  CudaStream stream = *CudaStream::Create(device_.get());
  const Buffer q_device = Upload(q, stream);
  const Buffer k_device = Upload(k, stream);
  const Buffer v_device = Upload(v, stream);
  std::vector<Bf16> output(q.size());
  std::vector<float> log_sum_exp(rows * shape.heads);
  const int64_t output_bytes = output.size() * sizeof(Bf16);
  const int64_t statistics_bytes = log_sum_exp.size() * sizeof(float);
  const Buffer output_device = *device_->Allocate(output_bytes);
  const Buffer statistics_device = *device_->Allocate(statistics_bytes);
  auto attention = CudnnAttention::Create(cudnn_.get(), shape);
  ASSERT_TRUE(attention.ok()) << attention.status();
  const absl::Status run =
      attention->Run(AddressOf(q_device), AddressOf(k_device), AddressOf(v_device),
                     AddressOf(output_device), AddressOf(statistics_device), stream);
  ASSERT_TRUE(run.ok()) << run;
  ASSERT_TRUE(stream.CopyToHost(output.data(), AddressOf(output_device), output_bytes).ok());
  ASSERT_TRUE(
      stream.CopyToHost(log_sum_exp.data(), AddressOf(statistics_device), statistics_bytes).ok());
  ASSERT_TRUE(stream.Synchronize().ok());
  const Attended expected = Attend(q, k, v, shape);
  for (size_t i = 0; i < output.size(); ++i) {
    // The weights and the output are rounded to bf16; |v| <= 2.
    ASSERT_NEAR(ToF32(output[i]), expected.output[i], 0.02) << "element " << i;
  }
  for (size_t i = 0; i < log_sum_exp.size(); ++i) {
    ASSERT_NEAR(log_sum_exp[i], expected.log_sum_exp[i], 1e-3) << "row " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, CudnnAttentionShapesTest,
                         ::testing::Values(CudnnAttentionShape{1, 128, 4, 2, 64},
                                           CudnnAttentionShape{2, 77, 14, 2, 64},
                                           CudnnAttentionShape{1, 300, 8, 8, 128}));

TEST_F(CudnnAttentionOnGpuTest, AShapeWithoutAnEngineIsNamed) {
  const auto attention = CudnnAttention::Create(cudnn_.get(), {1, 128, 4, 2, 36});
  EXPECT_EQ(attention.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(attention.status().message()), HasSubstr("head_dim 36"));
}

}  // namespace
}  // namespace alchemist
