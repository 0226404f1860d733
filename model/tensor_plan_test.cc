#include "model/tensor_plan.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "kernels/cpu_device.h"
#include "kernels/faulty_device.h"

namespace alchemist {
namespace {

uintptr_t Address(const TensorView& view) { return reinterpret_cast<uintptr_t>(view.data); }

TEST(TensorPlanTest, TensorsAreAlignedAndApart) {
  CpuDevice device;
  TensorPlan plan;
  TensorView a, b, empty;
  plan.Add(&a, DType::kF32, 3, 7);
  plan.Add(&empty, DType::kF32, 0, 9);
  plan.Add(&b, DType::kF32, 1, 1);
  const auto memory = plan.Allocate(device);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(Address(a) % 64, 0u);
  EXPECT_EQ(Address(b) % 64, 0u);
  EXPECT_GE(Address(b), Address(a) + a.bytes());
  EXPECT_EQ(empty.data, nullptr);
  EXPECT_EQ(empty.width, 9);
}

TEST(TensorPlanTest, OverlaidSetsShareMemoryAndWhatFollowsIsApart) {
  CpuDevice device;
  TensorPlan plan;
  TensorView before, small, large, inner, last, after;
  plan.Add(&before, DType::kF32, 1, 16);
  const auto nested = [&] {
    plan.Add(&large, DType::kF32, 4, 16);
    plan.Overlay({[&] { plan.Add(&inner, DType::kF32, 1, 16); }});
  };
  plan.Overlay({[&] { plan.Add(&small, DType::kF32, 1, 16); }, nested,
                [&] { plan.Add(&last, DType::kF32, 2, 16); }});
  plan.Add(&after, DType::kF32, 1, 16);
  const auto memory = plan.Allocate(device);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(small.data, large.data);
  EXPECT_EQ(last.data, large.data);
  EXPECT_EQ(Address(large), Address(before) + before.bytes());
  EXPECT_EQ(Address(inner), Address(large) + large.bytes());
  EXPECT_EQ(Address(after), Address(inner) + inner.bytes());
  EXPECT_EQ(device.bytes_allocated(), 7 * 64);
}

TEST(TensorPlanTest, WithoutRoomNoViewHasMemory) {
  CpuDevice device;
  FaultyDevice faulty(&device, 1);
  TensorPlan plan;
  TensorView a;
  plan.Add(&a, DType::kF32, 3, 7);
  EXPECT_EQ(plan.Allocate(faulty).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(a.data, nullptr);
}

}  // namespace
}  // namespace alchemist
