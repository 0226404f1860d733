// What a device is opened by, what refuses to be one, and its memory.
#include "kernels/cuda/cuda_device.h"

#include <cstdlib>
#include <iostream>
#include <thread>

#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/testing.h"

namespace alchemist {
namespace {

using testing::Each;
using testing::ExitedWithCode;
using testing::HasSubstr;

constexpr int64_t kBytes = 1 << 20;

absl::StatusOr<std::unique_ptr<CudaDevice>> Open(const std::string& uuid = "") {
  return CudaDevice::Open({.uuid = uuid, .driver_library = TestCudaDriver()});
}

// In a process of its own: a driver that was once loaded stays so.
[[noreturn]] void OpenAndExit() {
  std::cerr << Open().status();
  std::_Exit(0);
}

class CudaDeviceTest : public CudaTest {};

TEST(CudaDriverTest, ADriverThatIsNotThereIsNotFoundByItsName) {
  const absl::Status status = CudaDevice::Open({.driver_library = "libno_such.so"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("no NVIDIA driver: libno_such.so"));
}

TEST(CudaDriverTest, ALibraryWithoutTheEntriesIsNamedAndNotUsed) {
  const absl::Status status = CudaDevice::Open({.driver_library = "libc.so.6"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("libc.so.6 has no cuInit"));
}

TEST(CudaDriverTest, AMachineWithoutAGpuSaysSo) {
  if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv("ALCHEMIST_STAND_IN_DEVICES", "0", 1);
  EXPECT_EXIT(OpenAndExit(), ExitedWithCode(0), "NOT_FOUND: cuInit .*CUDA_ERROR_NO_DEVICE");
  unsetenv("ALCHEMIST_STAND_IN_DEVICES");
}

TEST(CudaDriverTest, AnOldDriverIsRefusedWithBothVersions) {
  if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv("ALCHEMIST_STAND_IN_VERSION", "12040", 1);
  EXPECT_EXIT(OpenAndExit(), ExitedWithCode(0), "FAILED_PRECONDITION: .*CUDA 12.4; 13.0 .r580.");
  unsetenv("ALCHEMIST_STAND_IN_VERSION");
}

// While no device is open, the stand-in holds no descriptor.
TEST(CudaDriverTest, EachCallOfOpeningMayFailAndNoContextIsLeft) {
  if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
  const int64_t descriptors = CountDescriptors();
  SweepFailures(
      {"cuDeviceGetCount", "cuDeviceGetUuid", "cuDeviceGetName", "cuDeviceTotalMem",
       "cuDriverGetVersion", "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent"},
      [] { return Open().status(); }, [&] { ExpectDescriptors(descriptors); });
}

TEST_F(CudaDeviceTest, IsFoundByItsUuidInCapitalsToo) {
  const std::string uuid = device_->info().uuid;
  EXPECT_EQ(uuid.size(), 40U) << uuid;
  const auto found = Open("GPU-" + absl::AsciiStrToUpper(uuid.substr(4)));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ((*found)->info().uuid, uuid);
  EXPECT_EQ((*found)->info().name, device_->info().name);
  EXPECT_GE(device_->info().compute_capability, 80);
  EXPECT_GE(device_->info().driver_version, 13000);
}

TEST_F(CudaDeviceTest, AnUnknownUuidIsAnsweredWithThoseThatThereAre) {
  const absl::Status status = Open("GPU-0").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("no GPU has the UUID GPU-0; there are "));
  EXPECT_THAT(status.message(), HasSubstr(device_->info().uuid));
}

TEST_F(CudaDeviceTest, MemoryIsZeroAndGoesBackWithItsBuffer) {
  const int64_t free = BytesFree();
  const int64_t allocated = device_->bytes_allocated();
  {
    const Buffer buffer = Allocate(kBytes);
    EXPECT_EQ(device_->bytes_allocated(), allocated + kBytes);
    ExpectBytesFree(free - kBytes);
    EXPECT_THAT(Read<uint8_t>(AddressOf(buffer), kBytes), Each(0));
  }
  EXPECT_EQ(device_->bytes_allocated(), allocated);
  EXPECT_EQ(device_->bytes_allocated_peak(), allocated + kBytes);
  ExpectBytesFree(free);
}

TEST_F(CudaDeviceTest, TooMuchMemoryIsResourceExhaustedAndCountsForNothing) {
  const int64_t free = BytesFree();
  const int64_t allocated = device_->bytes_allocated();
  const absl::Status status = device_->Allocate(device_->info().memory_bytes + kBytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(device_->bytes_allocated(), allocated);
  ExpectBytesFree(free);
}

TEST_F(CudaDeviceTest, EachCallOfAllocatingMayFail) {
  if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
  const int64_t free = BytesFree();
  const int64_t allocated = device_->bytes_allocated();
  const auto allocate = [this] { return device_->Allocate(kBytes).status(); };
  SweepFailures({"cuMemAlloc", "cuMemsetD8Async", "cuStreamSynchronize"}, allocate, [&] {
    ExpectBytesFree(free);
    EXPECT_EQ(device_->bytes_allocated(), allocated);
  });
}

TEST_F(CudaDeviceTest, AnotherThreadBindsItFirst) {
  std::thread([this] {
    EXPECT_EQ(device_->BytesFree().status().code(), absl::StatusCode::kInternal);
    EXPECT_TRUE(device_->BindThread().ok());
    EXPECT_TRUE(device_->BytesFree().ok());
  }).join();
}

}  // namespace
}  // namespace alchemist
