#include "kernels/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int kSeals = kSizeSeals | F_SEAL_FUTURE_WRITE;
constexpr int64_t kProcFileBytesMax = int64_t{64} << 20;

// The number after the first line that starts with `key` at or after `from`; 0 when there is none.
// /proc/meminfo and /proc/self/smaps both write "Key:   123 kB".
int64_t NumberAfter(const std::string& text, absl::string_view key, size_t from = 0) {
  const size_t line = text.find(absl::StrCat("\n", key), from);
  if (line == std::string::npos) return 0;
  const size_t begin = text.find_first_of("0123456789", line + 1 + key.size());
  const size_t end = text.find_first_not_of("0123456789", begin);
  int64_t number = 0;
  if (begin == std::string::npos || end == std::string::npos) return 0;
  return absl::SimpleAtoi(absl::string_view(text).substr(begin, end - begin), &number) ? number : 0;
}

bool HugePagesAreFree(const std::string& meminfo, int64_t bytes) {
  const int64_t huge_page_bytes = NumberAfter(meminfo, "Hugepagesize:") * 1024;
  return huge_page_bytes > 0 && bytes % huge_page_bytes == 0 &&
         NumberAfter(meminfo, "HugePages_Free:") >= bytes / huge_page_bytes;
}

// Whether the system has put transparent huge pages under a mapping; madvise does not say.
bool HasTransparentHugePages(const void* data) {
  const absl::StatusOr<std::string> smaps = ReadFile("/proc/self/smaps", kProcFileBytesMax);
  if (!smaps.ok()) return false;
  const size_t mapping =
      smaps->find(absl::StrCat("\n", absl::Hex(reinterpret_cast<uintptr_t>(data)), "-"));
  return mapping != std::string::npos && NumberAfter(*smaps, "ShmemPmdMapped:", mapping) > 0;
}

absl::Status ReservePages(int fd, int64_t bytes, const std::string& label) {
  while (fallocate(fd, 0, 0, bytes) != 0) {
    if (errno != EINTR) return ErrnoStatus("fallocate", label);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SharedMemory> SharedMemory::Create(const std::string& label, int64_t bytes) {
  CHECK_GT(bytes, 0) << label;
  ASSIGN_OR_RETURN(const std::string meminfo, ReadFile("/proc/meminfo", kProcFileBytesMax));
  if (HugePagesAreFree(meminfo, bytes)) {
    // Somebody else may have taken the huge pages since; then small ones do.
    absl::StatusOr<SharedMemory> memory = Reserve(label, bytes, MFD_HUGETLB);
    if (memory.ok()) return memory;
  }
  const int64_t bytes_available = NumberAfter(meminfo, "MemAvailable:") * 1024;
  if (bytes > bytes_available) {
    return absl::ResourceExhaustedError(absl::StrCat(
        label, ": ", bytes, " bytes asked for, ", bytes_available, " available on this machine"));
  }
  return Reserve(label, bytes, 0);
}

absl::StatusOr<SharedMemory> SharedMemory::Reserve(const std::string& label, int64_t bytes,
                                                   unsigned int memfd_flags) {
  SharedMemory memory;
  memory.fd_ =
      FileDescriptor(memfd_create(label.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | memfd_flags));
  if (!memory.fd_.valid()) return ErrnoStatus("memfd_create", label);
  if (ftruncate(memory.fd_.get(), bytes) != 0) return ErrnoStatus("ftruncate", label);
  memory.bytes_ = bytes;
  memory.writable_ = true;
  RETURN_IF_ERROR(memory.Map(label, PROT_READ | PROT_WRITE));
  if (memfd_flags == 0) {
    // Faults through an advised mapping are what may get transparent huge pages; fallocate alone
    // takes small ones. Neither call needs to work: what they leave, fallocate reserves or refuses.
    madvise(memory.data_, bytes, MADV_HUGEPAGE);
    madvise(memory.data_, bytes, MADV_POPULATE_WRITE);
  }
  RETURN_IF_ERROR(ReservePages(memory.fd_.get(), bytes, label));
  RETURN_IF_ERROR(memory.Seal(label, kSeals));
  memory.page_kind_ = "4 KiB";
  if (memfd_flags & MFD_HUGETLB) memory.page_kind_ = "hugetlb";
  if (HasTransparentHugePages(memory.data_)) memory.page_kind_ = "transparent";
  return memory;
}

absl::StatusOr<SharedMemory> SharedMemory::CreateForPeer(const std::string& label, int64_t bytes) {
  CHECK_GT(bytes, 0) << label;
  SharedMemory memory;
  memory.fd_ = FileDescriptor(memfd_create(label.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.fd_.valid()) return ErrnoStatus("memfd_create", label);
  if (ftruncate(memory.fd_.get(), bytes) != 0) return ErrnoStatus("ftruncate", label);
  memory.bytes_ = bytes;
  RETURN_IF_ERROR(ReservePages(memory.fd_.get(), bytes, label));
  RETURN_IF_ERROR(memory.Seal(label, kSizeSeals));
  RETURN_IF_ERROR(memory.Map(label, PROT_READ));
  memory.page_kind_ = "4 KiB";
  return memory;
}

absl::StatusOr<SharedMemory> SharedMemory::MapReadOnly(FileDescriptor fd, int64_t bytes) {
  return Adopt(std::move(fd), bytes, kSeals, PROT_READ);
}

absl::StatusOr<SharedMemory> SharedMemory::MapWritable(FileDescriptor fd, int64_t bytes) {
  ASSIGN_OR_RETURN(SharedMemory memory,
                   Adopt(std::move(fd), bytes, kSizeSeals, PROT_READ | PROT_WRITE));
  memory.writable_ = true;
  return memory;
}

absl::StatusOr<SharedMemory> SharedMemory::Adopt(FileDescriptor fd, int64_t bytes, int seals_needed,
                                                 int protection) {
  const std::string label = absl::StrCat("shared memory on descriptor ", fd.get());
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  struct stat info = {};
  if (seals < 0 || fstat(fd.get(), &info) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(label, ": not a memfd"));
  }
  if ((seals & seals_needed) != seals_needed) {
    return absl::InvalidArgumentError(
        absl::StrCat(label, ": seals are ", seals, ", not ", seals_needed));
  }
  if (bytes <= 0 || info.st_size != bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(label, ": ", info.st_size, " bytes, ", bytes, " were announced"));
  }
  SharedMemory memory;
  memory.fd_ = std::move(fd);
  memory.bytes_ = bytes;
  RETURN_IF_ERROR(memory.Map(label, protection));
  return memory;
}

absl::Status SharedMemory::Map(const std::string& label, int protection) {
  void* const data = mmap(nullptr, bytes_, protection, MAP_SHARED, fd_.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus("mmap", label);
  data_ = static_cast<std::byte*>(data);
  // A core file holds what goes wrong, not gigabytes of activations of other people's prompts.
  if (madvise(data, bytes_, MADV_DONTDUMP) != 0) return ErrnoStatus("madvise", label);
  return absl::OkStatus();
}

absl::Status SharedMemory::Seal(const std::string& label, int seals) {
  if (fcntl(fd_.get(), F_ADD_SEALS, seals) != 0 ||
      fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SEAL) != 0) {
    return ErrnoStatus("fcntl(F_ADD_SEALS)", label);
  }
  return absl::OkStatus();
}

void SharedMemory::Swap(SharedMemory& other) {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(writable_, other.writable_);
  std::swap(page_kind_, other.page_kind_);
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept { Swap(other); }

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  SharedMemory moved(std::move(other));
  Swap(moved);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) CHECK_EQ(munmap(data_, bytes_), 0);
}

std::byte* SharedMemory::writable_data() const {
  CHECK(writable_) << "memory of a peer is read-only";
  return data_;
}

}  // namespace alchemist
