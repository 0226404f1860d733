#include "model/base_digest.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kSettledUs = 1'000'000;
constexpr int64_t kEntryBytesMax = 1024;
constexpr size_t kDigestChars = 64;

int64_t ToUs(const timespec& time) { return time.tv_sec * 1'000'000 + time.tv_nsec / 1'000; }

// What tells one state of a file from another without reading it.
struct FileState {
  int64_t bytes = 0;
  int64_t changed_us = 0;  // The later of its times.
  std::string file_name;   // Of its cache entry.
  std::string identity;    // First line of the entry.
};

absl::StatusOr<FileState> StateOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus("stat", path);
  FileState state;
  state.bytes = info.st_size;
  state.changed_us = std::max(ToUs(info.st_mtim), ToUs(info.st_ctim));
  state.file_name = absl::StrCat(info.st_dev, "-", info.st_ino);
  state.identity = absl::StrCat(info.st_size, " ", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec,
                                " ", info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec, "\n");
  return state;
}

// The digest of a cache entry for `state`, or "" when there is none that can be trusted.
std::string ReadEntry(const std::string& path, const FileState& state) {
  const absl::StatusOr<std::string> entry = ReadFile(path, kEntryBytesMax);
  if (!entry.ok()) return "";
  absl::string_view digest = *entry;
  if (!absl::ConsumePrefix(&digest, state.identity) || !absl::ConsumeSuffix(&digest, "\n")) {
    return "";
  }
  const bool hex = digest.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
  return digest.size() == kDigestChars && hex ? std::string(digest) : "";
}

}  // namespace

std::string DigestCache::DefaultDirectory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return absl::StrCat(cache, "/alchemist/digests");
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return absl::StrCat(home, "/.cache/alchemist/digests");
  return "";
}

absl::StatusOr<std::string> DigestCache::Sha256OfFile(const std::string& path) const {
  ASSIGN_OR_RETURN(const FileState state, StateOf(path));
  const std::string entry_path = absl::StrCat(directory_, "/", state.file_name);
  if (!directory_.empty()) {
    std::string digest = ReadEntry(entry_path, state);
    if (!digest.empty()) return digest;
  }
  ASSIGN_OR_RETURN(std::string digest, alchemist::Sha256OfFile(path));
  if (directory_.empty()) return digest;
  ASSIGN_OR_RETURN(const FileState after, StateOf(path));
  const bool settled = clock_->WallUs() - state.changed_us > kSettledUs;
  if (settled && after.identity == state.identity && after.file_name == state.file_name) {
    std::error_code made;
    std::filesystem::create_directories(directory_, made);
    const absl::Status kept = ReplaceFile(entry_path, absl::StrCat(state.identity, digest, "\n"));
    VLOG(1) << "digest cache: " << entry_path << ": " << kept;
  }
  return digest;
}

absl::StatusOr<std::string> BaseDigest(const std::string& directory, std::vector<std::string> names,
                                       const DigestCache& cache) {
  std::sort(names.begin(), names.end());
  Sha256 digest;
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory, "/", name);
    ASSIGN_OR_RETURN(const std::string content, cache.Sha256OfFile(path));
    ASSIGN_OR_RETURN(const FileState state, StateOf(path));
    digest.Add(absl::StrCat(name, "\n", state.bytes, "\n", content, "\n"));
  }
  return digest.HexDigest();
}

}  // namespace alchemist
