#include "tools/daemons/work_directory.h"

#include <stdlib.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace alchemist {

absl::StatusOr<WorkDirectory> WorkDirectory::Create(absl::string_view program) {
  std::error_code error;
  const std::string parent = std::filesystem::temp_directory_path(error).string();
  std::string path = absl::StrCat(parent, "/", program, ".XXXXXX");
  if (error || mkdtemp(path.data()) == nullptr) return ErrnoStatus("mkdtemp", path);
  return WorkDirectory(std::move(path));
}

WorkDirectory::WorkDirectory(std::string path) : path_(std::move(path)) {}

WorkDirectory::WorkDirectory(WorkDirectory&& other) noexcept
    : path_(std::exchange(other.path_, std::string())) {}

WorkDirectory::~WorkDirectory() {
  std::error_code error;
  if (!path_.empty()) std::filesystem::remove_all(path_, error);
}

}  // namespace alchemist
