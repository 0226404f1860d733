#include "kernels/device.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "gtest/gtest.h"
#include "kernels/cpu_device.h"
#include "kernels/faulty_device.h"
#include "kernels/reusing_device.h"

namespace alchemist {
namespace {

TEST(CpuDeviceTest, BuffersAreAlignedZeroedAndCounted) {
  CpuDevice device;
  // The second of a size meets memory that the first has used; large ones are pages of their own.
  for (const int64_t bytes : {1000, 1000, 9'000'001, 9'000'001}) {
    absl::StatusOr<Buffer> buffer = device.Allocate(bytes);
    ASSERT_TRUE(buffer.ok());
    char* data = static_cast<char*>(buffer->data());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 64, 0u);
    EXPECT_TRUE(std::all_of(data, data + bytes, [](char c) { return c == 0; })) << bytes;
    std::fill(data, data + bytes, 'x');
    EXPECT_EQ(device.bytes_allocated(), bytes);
  }
  EXPECT_EQ(device.bytes_allocated(), 0);
}

TEST(CpuDeviceTest, PeakIsTheMostThatLivedAtOnce) {
  CpuDevice device;
  absl::StatusOr<Buffer> kept = device.Allocate(100);
  ASSERT_TRUE(device.Allocate(50).ok());
  EXPECT_EQ(device.bytes_allocated_peak(), 150);
  EXPECT_EQ(device.bytes_allocated(), 100);
  device.ResetPeak();
  EXPECT_EQ(device.bytes_allocated_peak(), 100);
}

TEST(CpuDeviceTest, MoreThanThereIsIsAnError) {
  CpuDevice device;
  const absl::StatusOr<Buffer> buffer = device.Allocate(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(buffer.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(buffer.status().message().find("9223372036854775807"), absl::string_view::npos);
  EXPECT_EQ(device.bytes_allocated(), 0);
}

TEST(BufferTest, MovingTakesTheBytesAlong) {
  CpuDevice device;
  Buffer first = *device.Allocate(10);
  void* const data = first.data();
  Buffer second = std::move(first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(first.data(), nullptr);
  second = *device.Allocate(20);
  EXPECT_EQ(device.bytes_allocated(), 20) << "what was assigned over is given back";
  second = Buffer();
  EXPECT_EQ(device.bytes_allocated(), 0);
}

TEST(BufferTest, ViewsMustFit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  CpuDevice device;
  const Buffer buffer = *device.Allocate(24);
  const TensorView view = buffer.View(DType::kF32, 2, 3);
  EXPECT_EQ(view.bytes(), 24);
  EXPECT_EQ(view.Row<float>(1), static_cast<float*>(buffer.data()) + 3);
  EXPECT_DEATH(buffer.View(DType::kF32, 2, 4), "2 x 4");
}

TEST(FaultyDeviceTest, OnlyTheNthAllocationFails) {
  CpuDevice cpu;
  FaultyDevice device(&cpu, /*fail_at=*/2);
  const absl::StatusOr<Buffer> first = device.Allocate(8);
  EXPECT_TRUE(first.ok());
  const absl::Status second = device.Allocate(16).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(second.message().find("16 bytes"), absl::string_view::npos) << second;
  EXPECT_TRUE(device.Allocate(8).ok());
  EXPECT_EQ(device.allocations(), 3);
  EXPECT_EQ(device.bytes_allocated(), 8);
  EXPECT_EQ(device.bytes_allocated_peak(), 16);
}

TEST(ReusingDeviceTest, WhatHasGoneIsLentAgainUnlessItIsTwiceAsLarge) {
  CpuDevice cpu;
  ReusingDevice device(&cpu);
  void* const first = device.Allocate(1000)->data();
  Buffer again = *device.Allocate(501);
  EXPECT_EQ(again.data(), first);
  EXPECT_EQ(again.bytes(), 501);
  again = Buffer();
  const Buffer small = *device.Allocate(500);
  EXPECT_NE(small.data(), first);
  EXPECT_EQ(cpu.bytes_allocated(), 1500);
}

TEST(ReusingDeviceTest, ALargerOneTakesThePlaceOfTheOneItOutgrew) {
  CpuDevice cpu;
  ReusingDevice device(&cpu);
  for (const int64_t bytes : {1000, 1100, 1500, 5000}) {
    EXPECT_TRUE(device.Allocate(bytes).ok());
    EXPECT_EQ(cpu.bytes_allocated(), bytes);
  }
  device.GiveBack();
  EXPECT_EQ(cpu.bytes_allocated(), 0);
}

TEST(ReusingDeviceTest, KeptMemoryIsGivenBackBeforeAnAllocationFails) {
  CpuDevice cpu;
  FaultyDevice faulty(&cpu, /*fail_at=*/2);
  ReusingDevice device(&faulty);
  ASSERT_TRUE(device.Allocate(1000).ok());
  const absl::StatusOr<Buffer> small = device.Allocate(100);
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(faulty.allocations(), 3);
  EXPECT_EQ(cpu.bytes_allocated(), 100);
}

}  // namespace
}  // namespace alchemist
