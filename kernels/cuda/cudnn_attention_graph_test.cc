// cuDNN can plan for a device that is not there, by a description of it: so these tests show on any
// machine with cuDNN 9.8 or newer which shapes its fused engines take. What the kernels compute
// only a GPU shows: cudnn_attention_test.
#include "kernels/cuda/cudnn_attention_graph.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace alchemist {
namespace {

constexpr size_t kPlansWithoutDevice = 90800;  // cuDNN 9.8.

// What cuDNN wants to know of an H200.
constexpr absl::string_view kH200 = R"({
  "version": 1, "deviceName": "NVIDIA H200", "deviceVer": 900, "driverVer": 13000,
  "cudaDeviceId": 0, "pciDeviceId": 0, "multiProcessorCount": 132, "warpSize": 32,
  "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
  "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152,
  "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024,
  "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "isTccDriver": 0,
  "supportCoopLaunch": 1, "totalGlobalMem": 150000000000, "smClockRateKHz": 1980000,
  "memClockRateKHz": 3201000, "l2CacheSize": 62914560})";

// cuDNN loads the driver before it says what it supports, though it does not call it. The
// toolkit's stub of it has the same soname and will do.
bool LoadDriverOrStub() {
  for (const char* path : {"libcuda.so.1", "/usr/local/cuda/lib64/stubs/libcuda.so",
                           "/usr/local/cuda/lib/stubs/libcuda.so"}) {
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL) != nullptr) return true;
  }
  return false;
}

class CudnnAttentionGraphTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto entries = CudnnEntries::Load({});
    if (absl::IsNotFound(entries.status())) GTEST_SKIP() << entries.status();
    ASSERT_TRUE(entries.ok()) << entries.status();
    entries_ = *std::move(entries);
    if (entries_->cudnnGetVersion() < kPlansWithoutDevice) {
      GTEST_SKIP() << "cuDNN " << entries_->Version() << " plans for devices that are there alone";
    }
    if (!LoadDriverOrStub()) GTEST_SKIP() << "neither a driver nor the toolkit's stub of one";
  }

  absl::StatusOr<size_t> CountEngines(const CudnnAttentionShape& shape) {
    ASSIGN_OR_RETURN(const CudnnDescriptor h200,
                     CudnnDescriptor::Create(entries_.get(), CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR,
                                             {{CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                               absl::Span<const char>(kH200)}}));
    ASSIGN_OR_RETURN(const CudnnAttentionGraph graph,
                     CudnnAttentionGraph::Create(entries_.get(), shape, nullptr));
    ASSIGN_OR_RETURN(const std::vector<CudnnDescriptor> engines, graph.Engines(&h200));
    return engines.size();
  }

  std::unique_ptr<CudnnEntries> entries_;
};

TEST_F(CudnnAttentionGraphTest, AnH200HasEnginesForWhatModelsNeed) {
  for (const CudnnAttentionShape& shape :
       {CudnnAttentionShape{1, 1024, 32, 8, 128}, CudnnAttentionShape{4, 1000, 14, 2, 64},
        CudnnAttentionShape{1, 7, 4, 4, 32}, CudnnAttentionShape{2, 777, 12, 12, 96},
        CudnnAttentionShape{1, 1, 8, 1, 256}, CudnnAttentionShape{1, 131072, 32, 8, 128}}) {
    const absl::StatusOr<size_t> engines = CountEngines(shape);
    ASSERT_TRUE(engines.ok()) << shape.Text() << ": " << engines.status();
    EXPECT_GT(*engines, 0) << shape.Text();
  }
}

TEST_F(CudnnAttentionGraphTest, AHeadThatIsNotOfEightsHasNoEngine) {
  const absl::StatusOr<size_t> engines = CountEngines({1, 128, 4, 2, 36});
  ASSERT_TRUE(engines.ok()) << engines.status();
  EXPECT_EQ(*engines, 0);
}

TEST_F(CudnnAttentionGraphTest, AnErrorWhileTheGraphIsMadeIsReturned) {
  const absl::StatusOr<size_t> engines = CountEngines({1, 128, 4, 3, 64});
  EXPECT_EQ(engines.status().code(), absl::StatusCode::kInvalidArgument) << engines.status();
}

TEST(CudnnAttentionShapeTest, AShapeThatMakesNoSenseIsNamed) {
  EXPECT_TRUE((CudnnAttentionShape{1, 128, 4, 2, 64}).Check().ok());
  const absl::Status status = CudnnAttentionShape{1, 128, 4, 3, 64}.Check();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "an attention of batch 1, tokens 128, heads 4, kv_heads 3, head_dim 64");
  EXPECT_FALSE((CudnnAttentionShape{1, 0, 4, 2, 64}).Check().ok());
}

}  // namespace
}  // namespace alchemist
