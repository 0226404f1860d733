#include "kernels/cuda/stand_in/device_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "kernels/cuda/stand_in/settings.h"

namespace alchemist::stand_in {
namespace {

using BytesByInode = std::map<uint64_t, uint64_t>;

std::string MemoryName() { return absl::StrCat("cuda_stand_in", MachineName()); }

// What /proc calls such a memfd.
std::string MemoryLink() { return absl::StrCat("/memfd:", MemoryName(), " (deleted)"); }

template <typename Visit>
void ForEachEntry(const std::string& directory, const Visit& visit) {
  std::error_code error;  // A process may be gone, or another user's: then it has no entries.
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    visit(entry->path());
  }
}

// Memory that is open in the process, mapped or not.
void AddDescriptors(const std::string& process, const std::string& link, BytesByInode& found) {
  ForEachEntry(process + "/fd", [&](const std::filesystem::path& path) {
    std::error_code error;
    struct stat status;
    if (std::filesystem::read_symlink(path, error) != link || error) return;
    if (stat(path.c_str(), &status) == 0) found[status.st_ino] = status.st_size;
  });
}

// Memory that is mapped, its descriptor perhaps closed. Changed protections split a mapping: the
// last byte that is seen says how large the memory is.
void AddMappings(const std::string& process, const std::string& link, BytesByInode& found) {
  std::ifstream maps(process + "/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    unsigned long offset = 0;
    unsigned long inode = 0;
    if (!absl::EndsWith(line, link) ||
        std::sscanf(line.c_str(), "%lx-%lx %*s %lx %*s %lu", &begin, &end, &offset, &inode) != 4) {
      continue;
    }
    found[inode] = std::max<uint64_t>(found[inode], offset + end - begin);
  }
}

uint64_t Total(const BytesByInode& pieces) {
  uint64_t bytes = 0;
  for (const auto& [inode, piece_bytes] : pieces) bytes += piece_bytes;
  return bytes;
}

}  // namespace

FileDescriptor CreateMemory(uint64_t bytes) {
  FileDescriptor fd(memfd_create(MemoryName().c_str(), MFD_CLOEXEC));
  if (!fd.valid() || ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return FileDescriptor();
  // Counted with the new one: of two processes that both ask for the last bytes, none gets more
  // than there is.
  if (ReadMemoryUsage().bytes > MemoryBytes()) return FileDescriptor();
  return fd;
}

std::optional<uint64_t> BytesOfMemory(int fd) {
  std::error_code error;
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  struct stat status;
  if (std::filesystem::read_symlink(path, error) != MemoryLink() || error) return std::nullopt;
  if (fstat(fd, &status) != 0) return std::nullopt;
  return status.st_size;
}

MemoryUsage ReadMemoryUsage() {
  MemoryUsage usage;
  BytesByInode pieces;
  const std::string link = MemoryLink();
  ForEachEntry("/proc", [&](const std::filesystem::path& path) {
    int process = 0;
    if (!absl::SimpleAtoi(path.filename().string(), &process)) return;
    BytesByInode held;
    AddDescriptors(path, link, held);
    AddMappings(path, link, held);
    if (!held.empty()) usage.bytes_by_process[process] = Total(held);
    pieces.merge(held);
  });
  usage.bytes = Total(pieces);
  return usage;
}

}  // namespace alchemist::stand_in
