// Arenas of one process and of two: the same bytes, and memory that goes back when it should.
#include "kernels/cuda/cuda_arena.h"

#include <cstdlib>
#include <iostream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/testing.h"

namespace alchemist {
namespace {

using testing::ExitedWithCode;
using testing::HasSubstr;

constexpr int kChunks = 3;
constexpr int64_t kGpuChunkBytes = 128 << 20;  // So large that ExpectBytesFree sees one.

std::vector<int> Numbers(absl::Span<const FileDescriptor> fds) {
  std::vector<int> numbers;
  for (const FileDescriptor& fd : fds) numbers.push_back(fd.get());
  return numbers;
}

class CudaArenaTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (HasFatalFailure()) return;  // There is no device.
    const auto granularity = CudaArena::Granularity(*device_);
    ASSERT_TRUE(granularity.ok()) << granularity.status();
    chunk_bytes_ = IsOnStandIn() ? *granularity : kGpuChunkBytes;
    ASSERT_EQ(chunk_bytes_ % *granularity, 0);
  }

  absl::StatusOr<CudaArena> Create() {
    return CudaArena::Create(device_.get(), kChunks, chunk_bytes_);
  }
  absl::StatusOr<CudaArena> Import(absl::Span<const FileDescriptor> fds, CudaAccess access) {
    return CudaArena::Import(device_.get(), Numbers(fds), chunk_bytes_, access);
  }

  int64_t chunk_bytes_ = 0;
};

TEST_F(CudaArenaTest, WhatOneProcessWritesAnotherReadsAndTheOtherWayRound) {
  auto arena = Create();
  ASSERT_TRUE(arena.ok()) << arena.status();
  FillPattern(arena->address(), arena->bytes(), 1);
  const auto fds = arena->Export();
  ASSERT_TRUE(fds.ok()) << fds.status();
  TestPeer peer("CudaArenaTest.PeerReadsThenWrites");
  Send(peer.socket(), {1}, *fds);
  EXPECT_EQ(Receive(peer.socket()).bytes, std::vector<uint8_t>{2});
  EXPECT_TRUE(peer.HasPassed());
  EXPECT_EQ(Mismatches(arena->address(), arena->bytes(), 2), 0);
}

CUDA_TEST_PEER(CudaArenaTest, PeerReadsThenWrites) {
  const Received lent = Receive(kPeerSocket);
  ASSERT_EQ(lent.fds.size(), size_t{kChunks});
  const auto read_only = Import(lent.fds, CudaAccess::kRead);
  ASSERT_TRUE(read_only.ok()) << read_only.status();
  EXPECT_EQ(Mismatches(read_only->address(), read_only->bytes(), lent.bytes[0]), 0);
  const auto writable = Import(lent.fds, CudaAccess::kReadWrite);
  ASSERT_TRUE(writable.ok()) << writable.status();
  FillPattern(writable->address(), writable->bytes(), 2);
  EXPECT_EQ(Mismatches(read_only->address(), read_only->bytes(), 2), 0);
  Send(kPeerSocket, {2});
}

TEST_F(CudaArenaTest, MemoryOfAKilledProcessLivesAsLongAsAnotherMapsIt) {
  const int64_t free = BytesFree();
  {
    TestPeer peer("CudaArenaTest.PeerLendsAndWaits");
    Received lent = Receive(peer.socket());
    ASSERT_EQ(lent.fds.size(), size_t{kChunks});
    auto arena = Import(lent.fds, CudaAccess::kReadWrite);
    ASSERT_TRUE(arena.ok()) << arena.status();
    lent.fds.clear();
    peer.Kill();
    EXPECT_EQ(Mismatches(arena->address(), arena->bytes(), 3), 0);
    ExpectBytesFree(free - arena->bytes());
  }
  ExpectBytesFree(free);
}

CUDA_TEST_PEER(CudaArenaTest, PeerLendsAndWaits) {
  auto arena = Create();
  ASSERT_TRUE(arena.ok()) << arena.status();
  FillPattern(arena->address(), arena->bytes(), 3);
  const auto fds = arena->Export();
  ASSERT_TRUE(fds.ok()) << fds.status();
  Send(kPeerSocket, {3}, *fds);
  Receive(kPeerSocket);  // Until it is killed.
}

TEST_F(CudaArenaTest, MemoryOfAKilledBorrowerStaysTheLenders) {
  auto arena = Create();
  ASSERT_TRUE(arena.ok()) << arena.status();
  FillPattern(arena->address(), arena->bytes(), 4);
  const int64_t free = BytesFree();
  {
    const auto fds = arena->Export();
    ASSERT_TRUE(fds.ok()) << fds.status();
    TestPeer peer("CudaArenaTest.PeerBorrowsAndWrites");
    Send(peer.socket(), {4}, *fds);
    Receive(peer.socket());  // It is at work on the arena's first word now.
    peer.Kill();
  }
  ExpectBytesFree(free);
  EXPECT_LE(Mismatches(arena->address(), arena->bytes(), 4), 2) << "more than the 8-byte beat";
  if (!IsOnStandIn()) return;  // When a GPU stops writing is a question of alchemist-gpu-check.
  FillPattern(arena->address(), arena->bytes(), 5);
  EXPECT_EQ(Mismatches(arena->address(), arena->bytes(), 5), 0) << "somebody still writes";
}

CUDA_TEST_PEER(CudaArenaTest, PeerBorrowsAndWrites) {
  const Received lent = Receive(kPeerSocket);
  auto arena = Import(lent.fds, CudaAccess::kReadWrite);
  ASSERT_TRUE(arena.ok()) << arena.status();
  ASSERT_TRUE(probes_->Spin(60'000'000, arena->address(), stream_).ok());
  Send(kPeerSocket, {4});
  Receive(kPeerSocket);  // Until it is killed.
}

TEST_F(CudaArenaTest, SizesOutOfRangeAreRefusedByName) {
  const auto refused = [&](int chunks, int64_t chunk_bytes) {
    const absl::Status status = CudaArena::Create(device_.get(), chunks, chunk_bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(refused(0, chunk_bytes_), HasSubstr("chunks: 0 is not from 1 to 253"));
  EXPECT_THAT(refused(254, chunk_bytes_), HasSubstr("chunks: 254 is not from 1 to 253"));
  EXPECT_THAT(refused(1, 0), HasSubstr("chunk_bytes: 0 is no multiple"));
  EXPECT_THAT(refused(1, -chunk_bytes_), HasSubstr("chunk_bytes: -"));
  EXPECT_THAT(refused(1, chunk_bytes_ + 1), HasSubstr("is no multiple of"));
  EXPECT_THAT(refused(1, device_->info().memory_bytes / chunk_bytes_ * chunk_bytes_ + chunk_bytes_),
              HasSubstr("that the device's"));
  EXPECT_EQ(Import({}, CudaAccess::kRead).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CudaArenaTest, TooMuchMemoryLeavesNothingBehind) {
  const int64_t free = BytesFree();
  const int64_t descriptors = CountDescriptors();
  const int64_t third = device_->info().memory_bytes / 3 / chunk_bytes_ * chunk_bytes_;
  const absl::Status status = CudaArena::Create(device_.get(), 4, third).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(status.message(), HasSubstr("of chunk "));
  ExpectBytesFree(free);
  ExpectDescriptors(descriptors);
}

// Whether a GPU's driver honours it is a question of alchemist-gpu-check, not a promise of ours.
TEST_F(CudaArenaTest, AReadOnlyImportRefusesWrites) {
  if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
  auto arena = Create();
  ASSERT_TRUE(arena.ok()) << arena.status();
  FillPattern(arena->address(), arena->bytes(), 5);
  const auto fds = arena->Export();
  ASSERT_TRUE(fds.ok()) << fds.status();
  const auto read_only = Import(*fds, CudaAccess::kRead);
  ASSERT_TRUE(read_only.ok()) << read_only.status();
  EXPECT_EQ(Mismatches(read_only->address(), read_only->bytes(), 5), 0);
  const auto write_and_exit = [&] {
    absl::Status status = probes_->StoreWord(read_only->address(), 1, stream_);
    status.Update(stream_.Synchronize());
    const absl::Status later = device_->Allocate(8).status();
    std::cerr << status << "; then " << later;
    std::_Exit(0);
  };
  EXPECT_EXIT(write_and_exit(), ExitedWithCode(0), "OUT_OF_RANGE.*; then OUT_OF_RANGE");
  EXPECT_EQ(Mismatches(arena->address(), arena->bytes(), 5), 0);
}

TEST_F(CudaArenaTest, DescriptorsStayTheCallersAndKeepTheMemoryAlive) {
  const int64_t free = BytesFree();
  const int64_t descriptors = CountDescriptors();
  {
    auto arena = Create();
    ASSERT_TRUE(arena.ok()) << arena.status();
    FillPattern(arena->address(), arena->bytes(), 6);
    const auto fds = arena->Export();
    ASSERT_TRUE(fds.ok()) << fds.status();
    ASSERT_TRUE(Import(*fds, CudaAccess::kReadWrite).ok());  // And closed at once.
    EXPECT_TRUE(arena->Close().ok());
    ExpectBytesFree(free - kChunks * chunk_bytes_);
    const auto again = Import(*fds, CudaAccess::kReadWrite);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(Mismatches(again->address(), again->bytes(), 6), 0);
  }
  ExpectBytesFree(free);
  ExpectDescriptors(descriptors);
}

TEST_F(CudaArenaTest, AChunkGoesBackAloneOnceItIsUnmappedAndReleased) {
  const int64_t free = BytesFree();
  auto arena = Create();
  ASSERT_TRUE(arena.ok()) << arena.status();
  FillPattern(arena->address(), arena->bytes(), 7);
  EXPECT_TRUE(arena->UnmapChunk(2).ok());
  ExpectBytesFree(free - 3 * chunk_bytes_);
  EXPECT_TRUE(arena->ReleaseChunk(2).ok());
  ExpectBytesFree(free - 2 * chunk_bytes_);
  EXPECT_TRUE(arena->ReleaseChunk(0).ok()) << "its mapping is enough to keep it";
  ExpectBytesFree(free - 2 * chunk_bytes_);
  EXPECT_EQ(Mismatches(arena->address(), 2 * chunk_bytes_, 7), 0);
  EXPECT_TRUE(arena->Close().ok());
  ExpectBytesFree(free);
}

TEST_F(CudaArenaTest, MovingAnArenaLeavesAnEmptyOne) {
  const int64_t free = BytesFree();
  auto arena = Create();
  ASSERT_TRUE(arena.ok()) << arena.status();
  CudaArena moved = *std::move(arena);
  EXPECT_EQ(arena->bytes(), 0);
  EXPECT_EQ(moved.bytes(), kChunks * chunk_bytes_);
  ExpectBytesFree(free - moved.bytes());
  moved = CudaArena();
  ExpectBytesFree(free);
}

TEST_F(CudaArenaTest, ADescriptorOfSomethingElseIsRefused) {
  TestPeer peer("CudaArenaTest.PeerLendsAndWaits");
  const std::vector<int> fds = {peer.socket()};
  const auto arena = CudaArena::Import(device_.get(), fds, chunk_bytes_, CudaAccess::kReadWrite);
  ASSERT_FALSE(arena.ok());
  EXPECT_THAT(arena.status().message(), HasSubstr("cuMemImportFromShareableHandle of chunk 0"));
}

TEST_F(CudaArenaTest, AnyCallMayFailAndLeavesNothingBehind) {
  if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
  const int64_t free = BytesFree();
  const int64_t descriptors = CountDescriptors();
  const auto lend_and_borrow = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const CudaArena arena, Create());
    ASSIGN_OR_RETURN(const std::vector<FileDescriptor> fds, arena.Export());
    return Import(fds, CudaAccess::kReadWrite).status();
  };
  SweepFailures(
      {"cuMemGetAllocationGranularity", "cuMemAddressReserve", "cuMemCreate", "cuMemMap",
       "cuMemSetAccess", "cuMemExportToShareableHandle", "cuMemImportFromShareableHandle"},
      lend_and_borrow, [&] {
        ExpectBytesFree(free);
        ExpectDescriptors(descriptors);
      });
}

TEST_F(CudaArenaTest, CloseTriesEverythingAndReturnsTheFirstError) {
  if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
  const int64_t free = BytesFree();
  const auto close = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(CudaArena arena, Create());
    return arena.Close();
  };
  setenv("ALCHEMIST_STAND_IN_FAIL", "cuMemUnmap:1:999", 1);
  const absl::Status closed = close();
  unsetenv("ALCHEMIST_STAND_IN_FAIL");
  EXPECT_THAT(closed.message(), HasSubstr("cuMemUnmap of chunk 0 of 3"));
  ExpectBytesFree(free - chunk_bytes_);  // The chunk that could not be unmapped, no more.
}

}  // namespace
}  // namespace alchemist
