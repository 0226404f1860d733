#include "kernels/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr int64_t kBytes = 4 << 20;

FileDescriptor Duplicate(int fd) { return FileDescriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

FileDescriptor MemfdWithSeals(int seals) {
  FileDescriptor fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(fd.get(), kBytes), 0);
  EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

TEST(SharedMemoryTest, TheMakerWritesAndTheOtherSideReads) {
  absl::StatusOr<SharedMemory> memory = SharedMemory::Create("test", kBytes);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_TRUE(std::all_of(memory->data(), memory->data() + kBytes,
                          [](std::byte b) { return b == std::byte{0}; }));
  const absl::StatusOr<SharedMemory> reader =
      SharedMemory::MapReadOnly(Duplicate(memory->fd()), kBytes);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->bytes(), kBytes);
  memory->writable_data()[kBytes - 1] = std::byte{7};
  EXPECT_EQ(reader->data()[kBytes - 1], std::byte{7});
}

TEST(SharedMemoryTest, NobodyElseCanWriteShrinkOrGrowIt) {
  const absl::StatusOr<SharedMemory> memory = SharedMemory::Create("test", kBytes);
  ASSERT_TRUE(memory.ok()) << memory.status();
  const int fd = memory->fd();
  EXPECT_EQ(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  void* const readable = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(readable, MAP_FAILED);
  EXPECT_EQ(mprotect(readable, kBytes, PROT_READ | PROT_WRITE), -1);
  EXPECT_EQ(munmap(readable, kBytes), 0);
  EXPECT_EQ(pwrite(fd, "x", 1, 0), -1);
  EXPECT_EQ(ftruncate(fd, kBytes / 2), -1);
  EXPECT_EQ(ftruncate(fd, kBytes * 2), -1);
  EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1) << "the seals are sealed";
}

// A write to a page that the system cannot find any more would be a SIGBUS in mid-prefill.
TEST(SharedMemoryTest, EveryPageIsReservedFromTheStart) {
  const absl::StatusOr<SharedMemory> memory = SharedMemory::Create("test", kBytes);
  ASSERT_TRUE(memory.ok()) << memory.status();
  struct stat info = {};
  ASSERT_EQ(fstat(memory->fd(), &info), 0);
  EXPECT_GE(int64_t{info.st_blocks} * 512, kBytes);
}

TEST(SharedMemoryTest, MoreThanTheMachineHasIsAnErrorThatNamesIt) {
  const absl::Status status = SharedMemory::Create("arena", int64_t{1} << 60).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(absl::StrContains(status.message(), "arena: 1152921504606846976 bytes")) << status;
}

TEST(SharedMemoryTest, PagesStayOutOfCoreFiles) {
  const absl::StatusOr<SharedMemory> memory = SharedMemory::Create("test", kBytes);
  ASSERT_TRUE(memory.ok()) << memory.status();
  const absl::StatusOr<std::string> smaps = ReadFile("/proc/self/smaps", int64_t{64} << 20);
  ASSERT_TRUE(smaps.ok()) << smaps.status();
  const std::string begin =
      absl::StrCat("\n", absl::Hex(reinterpret_cast<uintptr_t>(memory->data())), "-");
  const size_t mapping = smaps->find(begin);
  ASSERT_NE(mapping, std::string::npos);
  const size_t flags = smaps->find("VmFlags:", mapping);
  EXPECT_TRUE(absl::StrContains(smaps->substr(flags, smaps->find('\n', flags) - flags), " dd"));
  EXPECT_TRUE(memory->page_kind() == "hugetlb" || memory->page_kind() == "transparent" ||
              memory->page_kind() == "4 KiB")
      << memory->page_kind();
}

TEST(SharedMemoryTest, MapsOnlyWhatNobodyCanTakeAway) {
  constexpr int kAll = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;
  EXPECT_TRUE(SharedMemory::MapReadOnly(MemfdWithSeals(kAll), kBytes).ok());
  for (int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE}) {
    const absl::Status status =
        SharedMemory::MapReadOnly(MemfdWithSeals(kAll & ~missing), kBytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << missing;
  }
  for (int64_t bytes : {int64_t{-1}, int64_t{0}, kBytes - 1, kBytes + 1}) {
    const absl::Status status = SharedMemory::MapReadOnly(MemfdWithSeals(kAll), bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bytes;
  }
  FileDescriptor file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(SharedMemory::MapReadOnly(std::move(file), kBytes).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SharedMemory::MapReadOnly(FileDescriptor(), kBytes).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(SharedMemoryTest, MovingTakesTheMappingAlong) {
  SharedMemory first = *SharedMemory::Create("test", kBytes);
  const std::byte* const data = first.data();
  SharedMemory second = std::move(first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(first.data(), nullptr);
  const int fd = second.fd();
  second = SharedMemory();
  EXPECT_EQ(fcntl(fd, F_GETFD), -1) << "what was assigned over is closed";
}

TEST(SharedMemoryDeathTest, APeersMemoryIsNotWritable) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const SharedMemory memory = *SharedMemory::Create("test", kBytes);
  const SharedMemory reader = *SharedMemory::MapReadOnly(Duplicate(memory.fd()), kBytes);
  EXPECT_DEATH(reader.writable_data(), "read-only");
}

}  // namespace
}  // namespace alchemist
