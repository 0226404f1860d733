// The legacy way: an allocation, not an arena, that another process maps by 64 bytes.
#include "kernels/cuda/cuda_ipc.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "kernels/cuda/cuda_arena.h"
#include "kernels/cuda/testing.h"

namespace alchemist {
namespace {

constexpr int64_t kBytes = 2 << 20;

CudaIpcHandle HandleIn(const Received& received) {
  CudaIpcHandle handle = {};
  EXPECT_EQ(received.bytes.size(), handle.size());
  std::copy_n(received.bytes.begin(), std::min(received.bytes.size(), handle.size()),
              handle.begin());
  return handle;
}

class CudaIpcTest : public CudaTest {};

TEST_F(CudaIpcTest, WhatOneProcessWritesAnotherReadsAndTheOtherWayRound) {
  const Buffer buffer = Allocate(kBytes);
  FillPattern(AddressOf(buffer), kBytes, 1);
  const int64_t free = BytesFree();
  const auto handle = ExportLegacy(*device_, AddressOf(buffer));
  ASSERT_TRUE(handle.ok()) << handle.status();
  TestPeer peer("CudaIpcTest.PeerReadsThenWrites");
  Send(peer.socket(), *handle);
  EXPECT_TRUE(peer.HasPassed());
  EXPECT_EQ(Mismatches(AddressOf(buffer), kBytes, 2), 0);
  ExpectBytesFree(free);
}

CUDA_TEST_PEER(CudaIpcTest, PeerReadsThenWrites) {
  const CudaIpcHandle handle = HandleIn(Receive(kPeerSocket));
  const int64_t free = BytesFree();
  const int64_t descriptors = CountDescriptors();
  {
    const auto mapping = CudaIpcMapping::Open(device_.get(), handle);
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    EXPECT_EQ(Mismatches(mapping->address(), kBytes, 1), 0);
    FillPattern(mapping->address(), kBytes, 2);
  }
  ExpectBytesFree(free);
  ExpectDescriptors(descriptors);
}

TEST_F(CudaIpcTest, AnArenaHasNoSuchHandle) {
  const auto chunk_bytes = CudaArena::Granularity(*device_);
  ASSERT_TRUE(chunk_bytes.ok()) << chunk_bytes.status();
  const auto arena = CudaArena::Create(device_.get(), 1, *chunk_bytes);
  ASSERT_TRUE(arena.ok()) << arena.status();
  EXPECT_EQ(ExportLegacy(*device_, arena->address()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(CudaIpcTest, AHandleOfADeadProcessOpensNothing) {
  const int64_t free = BytesFree();
  TestPeer peer("CudaIpcTest.PeerLendsAndWaits");
  const CudaIpcHandle handle = HandleIn(Receive(peer.socket()));
  {
    const auto mapping = CudaIpcMapping::Open(device_.get(), handle);
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    EXPECT_EQ(Mismatches(mapping->address(), kBytes, 3), 0);
  }
  peer.Kill();
  EXPECT_FALSE(CudaIpcMapping::Open(device_.get(), handle).ok());
  ExpectBytesFree(free);
}

CUDA_TEST_PEER(CudaIpcTest, PeerLendsAndWaits) {
  const Buffer buffer = Allocate(kBytes);
  FillPattern(AddressOf(buffer), kBytes, 3);
  const auto handle = ExportLegacy(*device_, AddressOf(buffer));
  ASSERT_TRUE(handle.ok()) << handle.status();
  Send(kPeerSocket, *handle);
  Receive(kPeerSocket);  // Until it is killed.
}

}  // namespace
}  // namespace alchemist
