// Order and time in streams; graphs; host memory; what a fault leaves.
#include "kernels/cuda/cuda_stream.h"

#include <array>
#include <cstdlib>
#include <iostream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/cuda_host_memory.h"
#include "kernels/cuda/cuda_module.h"
#include "kernels/cuda/testing.h"

extern "C" const unsigned char probe_kernels_image[];

namespace alchemist {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::ExitedWithCode;
using testing::HasSubstr;

constexpr int64_t kLongUs = 300'000;  // Beside which a few calls are nothing.
constexpr int64_t kPageBytes = 4096;

class CudaStreamTest : public CudaTest {
 protected:
  CudaEvent Event() {
    auto event = CudaEvent::Create(device_.get());
    EXPECT_TRUE(event.ok()) << event.status();
    return event.ok() ? *std::move(event) : CudaEvent();
  }
};

TEST_F(CudaStreamTest, CopiesAndFillsRunInOrder) {
  const Buffer buffer = Allocate(16);
  const uint64_t address = AddressOf(buffer);
  ASSERT_TRUE(probes_->Spin(10'000, 0, stream_).ok());
  ASSERT_TRUE(stream_.Fill(address, 7, 4).ok());
  ASSERT_TRUE(stream_.CopyOnDevice(address + 4, address, 4).ok());
  ASSERT_TRUE(stream_.Fill(address, 8, 4).ok());
  EXPECT_THAT(Read<uint8_t>(address, 12), ElementsAre(8, 8, 8, 8, 7, 7, 7, 7, 0, 0, 0, 0));
}

TEST_F(CudaStreamTest, HostMemoryMayChangeOnceItsCopyIsQueued) {
  const Buffer buffer = Allocate(sizeof(uint32_t));
  ASSERT_TRUE(probes_->Spin(10'000, 0, stream_).ok());
  uint32_t value = 1;
  ASSERT_TRUE(stream_.CopyToDevice(AddressOf(buffer), &value, sizeof(value)).ok());
  value = 2;
  EXPECT_THAT(Read<uint32_t>(AddressOf(buffer), 1), ElementsAre(1));
}

TEST_F(CudaStreamTest, CopiesToPinnedMemoryAreNotWaitedFor) {
  const Buffer buffer = Allocate(sizeof(uint32_t));
  Write<uint32_t>(AddressOf(buffer), {42});
  auto memory = CudaHostMemory::Allocate(device_.get(), sizeof(uint32_t));
  ASSERT_TRUE(memory.ok()) << memory.status();
  CudaEvent end = Event();
  ASSERT_TRUE(probes_->Spin(kLongUs, 0, stream_).ok());
  ASSERT_TRUE(stream_.Record(end).ok());
  ASSERT_TRUE(stream_.CopyToHost(memory->data(), AddressOf(buffer), sizeof(uint32_t)).ok());
  EXPECT_FALSE(*end.HasPassed());
  ASSERT_TRUE(stream_.Synchronize().ok());
  EXPECT_EQ(*static_cast<uint32_t*>(memory->data()), 42U);
}

TEST_F(CudaStreamTest, MemoryOfTheCallerIsPinnedOnceAtATime) {
  void* const pages = std::aligned_alloc(kPageBytes, kPageBytes);
  ASSERT_NE(pages, nullptr);
  {
    auto memory =
        CudaHostMemory::Register(device_.get(), pages, kPageBytes, CudaAccess::kReadWrite);
    ASSERT_TRUE(memory.ok()) << memory.status();
    const auto twice =
        CudaHostMemory::Register(device_.get(), pages, kPageBytes, CudaAccess::kReadWrite);
    EXPECT_THAT(twice.status().message(), HasSubstr("cuMemHostRegister of 4096 bytes"));
    const Buffer buffer = Allocate(kPageBytes);
    ASSERT_TRUE(stream_.Fill(AddressOf(buffer), 9, kPageBytes).ok());
    ASSERT_TRUE(stream_.CopyToHost(pages, AddressOf(buffer), kPageBytes).ok());
    ASSERT_TRUE(stream_.Synchronize().ok());
    EXPECT_EQ(static_cast<uint8_t*>(pages)[kPageBytes - 1], 9);
  }
  EXPECT_TRUE(
      CudaHostMemory::Register(device_.get(), pages, kPageBytes, CudaAccess::kReadWrite).ok());
  std::free(pages);
}

TEST_F(CudaStreamTest, TwoMillisecondsOfWorkTakeAtLeastThat) {
  CudaEvent start = Event();
  CudaEvent end = Event();
  ASSERT_TRUE(stream_.Record(start).ok());
  ASSERT_TRUE(probes_->Spin(2000, 0, stream_).ok());
  ASSERT_TRUE(stream_.Record(end).ok());
  ASSERT_TRUE(end.Wait().ok());
  const auto us = end.MicrosecondsSince(start);
  ASSERT_TRUE(us.ok()) << us.status();
  EXPECT_GE(*us, 2000);
}

TEST_F(CudaStreamTest, StreamsRunSideBySide) {
  auto other = CudaStream::Create(device_.get());
  ASSERT_TRUE(other.ok()) << other.status();
  CudaEvent end = Event();
  EXPECT_TRUE(*end.HasPassed()) << "an event that was never recorded";
  ASSERT_TRUE(probes_->Spin(kLongUs, 0, stream_).ok());
  ASSERT_TRUE(stream_.Record(end).ok());
  ASSERT_TRUE(probes_->Nothing(*other).ok());
  ASSERT_TRUE(other->Synchronize().ok());
  EXPECT_FALSE(*end.HasPassed()) << "the other stream waited, or this one does not work";
  ASSERT_TRUE(end.Wait().ok());
  EXPECT_TRUE(*end.HasPassed());
}

TEST_F(CudaStreamTest, TheDeviceIsDoneWhenAllStreamsAre) {
  CudaEvent end = Event();
  ASSERT_TRUE(probes_->Spin(10'000, 0, stream_).ok());
  ASSERT_TRUE(stream_.Record(end).ok());
  ASSERT_TRUE(device_->Synchronize().ok());
  EXPECT_TRUE(*end.HasPassed());
}

TEST_F(CudaStreamTest, MemoryIsFreedAfterTheKernelsThatUseIt) {
  CudaEvent end = Event();
  Buffer buffer = Allocate(sizeof(uint64_t));
  ASSERT_TRUE(probes_->Spin(10'000, AddressOf(buffer), stream_).ok());
  ASSERT_TRUE(stream_.Record(end).ok());
  buffer = Buffer();
  EXPECT_TRUE(*end.HasPassed());
  EXPECT_TRUE(stream_.Synchronize().ok());
}

TEST_F(CudaStreamTest, CapturedWorkRunsWhenItIsLaunchedAndNotBefore) {
  const Buffer buffer = Allocate(2 * sizeof(uint64_t));
  const uint64_t address = AddressOf(buffer);
  uint32_t value = 1;
  auto graph = stream_.Capture([&]() -> absl::Status {
    RETURN_IF_ERROR(probes_->StoreWord(address, value, stream_));
    return stream_.Fill(address + 8, 5, 8);
  });
  value = 2;  // Arguments are read when they are queued.
  ASSERT_TRUE(graph.ok()) << graph.status();
  ASSERT_TRUE(stream_.Synchronize().ok());
  EXPECT_THAT(Read<uint8_t>(address, 16), Each(0));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(stream_.Fill(address, 0, 16).ok());
    ASSERT_TRUE(stream_.Launch(*graph).ok());
    EXPECT_THAT(Read<uint64_t>(address, 2), ElementsAre(1, 0x0505050505050505));
  }
}

TEST_F(CudaStreamTest, AFailedCaptureLeavesTheStreamUsable) {
  const auto refused = stream_.Capture([] { return absl::AbortedError("changed my mind"); });
  EXPECT_EQ(refused.status(), absl::AbortedError("changed my mind"));
  const auto waited = stream_.Capture([this] { return stream_.Synchronize(); });
  EXPECT_THAT(waited.status().message(), HasSubstr("cuStreamSynchronize"));
  EXPECT_TRUE(probes_->Nothing(stream_).ok());
  EXPECT_TRUE(stream_.Synchronize().ok());
}

TEST_F(CudaStreamTest, EachCallOfACaptureMayFail) {
  if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
  const auto capture = [this] {
    return stream_.Capture([this] { return probes_->Nothing(stream_); }).status();
  };
  SweepFailures({"cuStreamBeginCapture", "cuLaunchKernel", "cuGraphInstantiateWithFlags"}, capture,
                [this] { EXPECT_TRUE(stream_.Synchronize().ok()); });
}

TEST_F(CudaStreamTest, MoreThreadsThanABlockHoldsAreRefused) {
  auto module = CudaModule::Load(device_.get(), probe_kernels_image);
  ASSERT_TRUE(module.ok()) << module.status();
  const auto empty = module->Kernel("probe_empty");
  ASSERT_TRUE(empty.ok()) << empty.status();
  const absl::Status launched = stream_.Launch(*empty, {2, 3, 2048}, {});
  EXPECT_EQ(launched.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(launched.message(), HasSubstr("cuLaunchKernel of 2 x 3 blocks of 2048"));
  EXPECT_TRUE(stream_.Launch(*empty, {2, 3, 1024}, {}).ok());
}

TEST_F(CudaStreamTest, AnImageSaysWhichKernelItHasNot) {
  auto module = CudaModule::Load(device_.get(), probe_kernels_image);
  ASSERT_TRUE(module.ok()) << module.status();
  EXPECT_EQ(module->Kernel("no_such").status(),
            absl::NotFoundError("no kernel no_such in the image"));
}

// A process of its own, because the context is lost to it for good.
TEST_F(CudaStreamTest, AFaultMakesEveryLaterCallOutOfRange) {
  const auto fault_and_exit = [this] {
    constexpr uint64_t kNowhere = 4096;
    CudaEvent end = Event();
    absl::Status fault = probes_->StoreWord(kNowhere, 1, stream_);
    fault.Update(stream_.Record(end));
    fault.Update(stream_.Synchronize());
    std::cerr << fault << "\n";
    const std::array<absl::Status, 3> later = {end.Wait(), probes_->Nothing(stream_),
                                               device_->Allocate(8).status()};
    for (const absl::Status& status : later) {
      if (!absl::IsOutOfRange(status)) std::_Exit(1);
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(fault_and_exit(), ExitedWithCode(0), "OUT_OF_RANGE: .*CUDA_ERROR_ILLEGAL_ADDRESS");
}

}  // namespace
}  // namespace alchemist
