// SharedMemory: a sealed memfd that one process writes and another maps read-only (or, for the
// trainer's page, the other way round). All pages are reserved when it is made, so that no later
// write can meet SIGBUS. Reached by descriptor only, never by name. Move only.
#ifndef ALCHEMIST_KERNELS_SHARED_MEMORY_H_
#define ALCHEMIST_KERNELS_SHARED_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/status.h"

namespace alchemist {

class SharedMemory {
 public:
  // Makes `bytes` (> 0) of zeros, mapped writable here, then seals SHRINK, GROW and FUTURE_WRITE,
  // then SEAL, so that any later mapping is read-only. Huge pages where the system gives them
  // (`page_kind()` says which). ResourceExhausted when the pages are not to be had; more than the
  // system's available memory is refused before the attempt, which would wake the OOM killer.
  static absl::StatusOr<SharedMemory> Create(const std::string& label, int64_t bytes);
  // Maps a peer's memory read-only. InvalidArgument unless `fd` is a memfd of exactly `bytes` with
  // SHRINK, GROW and FUTURE_WRITE sealed: a peer could otherwise take pages away under us.
  static absl::StatusOr<SharedMemory> MapReadOnly(FileDescriptor fd, int64_t bytes);

  // The other way round, for a page that only the peer writes: mapped read-only here, sealed
  // against SHRINK and GROW, to be mapped by the peer with MapWritable.
  static absl::StatusOr<SharedMemory> CreateForPeer(const std::string& label, int64_t bytes);
  static absl::StatusOr<SharedMemory> MapWritable(FileDescriptor fd, int64_t bytes);

  SharedMemory() = default;
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  const std::byte* data() const { return data_; }
  std::byte* writable_data() const;  // REQUIRES: made by Create or MapWritable.
  int64_t bytes() const { return bytes_; }
  int fd() const { return fd_.get(); }  // Stays owned by this object.
  // "hugetlb", "transparent" or "4 KiB"; empty for a peer's memory.
  const std::string& page_kind() const { return page_kind_; }

 private:
  static absl::StatusOr<SharedMemory> Reserve(const std::string& label, int64_t bytes,
                                              unsigned int memfd_flags);
  void Swap(SharedMemory& other);
  absl::Status Map(const std::string& label, int protection);
  absl::Status Seal(const std::string& label, int seals);
  static absl::StatusOr<SharedMemory> Adopt(FileDescriptor fd, int64_t bytes, int seals_needed,
                                            int protection);

  FileDescriptor fd_;
  std::byte* data_ = nullptr;  // Mapped; null in an empty object.
  int64_t bytes_ = 0;
  bool writable_ = false;
  std::string page_kind_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SHARED_MEMORY_H_
