#include "tools/gpu_check/form.h"

#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

TEST(FormTest, OnAGpuWithRoomAllChunksAreThere) {
  const auto form = FormNamed("long", 140 * kGiB);
  ASSERT_TRUE(form.has_value());
  EXPECT_EQ(form->unmap_chunks * form->unmap_chunk_bytes, 64 * kGiB);
  EXPECT_EQ(form->copy_bytes, kGiB);
  EXPECT_LE(form->bytes_max, 70 * kGiB);
}

TEST(FormTest, NoFormTakesMoreThanHalfOfWhatIsFree) {
  for (const char* name : {"tiny", "short", "long"}) {
    for (const int64_t bytes_free : {8 * kGiB, 24 * kGiB, 80 * kGiB}) {
      const auto form = FormNamed(name, bytes_free);
      ASSERT_TRUE(form.has_value());
      const int64_t beside = 2 * form->copy_bytes;  // What two processes read or copy.
      EXPECT_LE(form->arena_chunks * form->arena_chunk_bytes + beside, bytes_free / 2) << name;
      EXPECT_LE(form->unmap_chunks * form->unmap_chunk_bytes + beside, bytes_free / 2) << name;
    }
  }
}

TEST(FormTest, OnAFullGpuThereIsStillOneChunk) {
  const auto form = FormNamed("short", 0);
  ASSERT_TRUE(form.has_value());
  EXPECT_EQ(form->arena_chunks, 1);
  EXPECT_EQ(form->unmap_chunks, 1);
}

TEST(FormTest, AnotherNameIsNoForm) { EXPECT_FALSE(FormNamed("medium", kGiB).has_value()); }

}  // namespace
}  // namespace alchemist
