// Whole files and read-only mappings. Errors name the path and the system's reason. Any thread.
#ifndef ALCHEMIST_BASE_FILE_H_
#define ALCHEMIST_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status.h"

namespace alchemist {

// Owns a file descriptor. Move only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();  // The caller owns the descriptor from here on.

 private:
  int fd_ = -1;
};

// The status of the failed system call `call` on `path`: errno's text, and a code that fits it
// (NotFound, PermissionDenied, ResourceExhausted for a full disk or quota, else Unavailable).
absl::Status ErrnoStatus(absl::string_view call, absl::string_view path);

// The file's content; ResourceExhausted when it has more than `bytes_max`.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t bytes_max);

// Writes and syncs a new file (replaces one that is there; not atomically).
absl::Status WriteFileSynced(const std::string& path, absl::string_view content);

// The same for content that lies in several places, written one after the other.
absl::Status WritePiecesSynced(const std::string& path, absl::Span<const absl::string_view> pieces);

// Makes the entries of `directory` durable (after a create or rename in it).
absl::Status SyncDirectory(const std::string& directory);

// Writes `content` aside, syncs, renames over `path`, syncs the directory: old or new, never half.
absl::Status ReplaceFile(const std::string& path, absl::string_view content);

// Takes the file `path`, made if absent, for this process alone until the descriptor closes; the
// death of the process is enough. FailedPrecondition while another process has it.
absl::StatusOr<FileDescriptor> LockFile(const std::string& path);

// A file mapped read-only, shared with whoever else maps it. Move only.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  MappedFile(const std::byte* data, int64_t bytes) : data_(data), bytes_(bytes) {}
  const std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_FILE_H_
