// WorkDirectory: a folder for what a run leaves on disk; it goes with this object. Below $TMPDIR,
// or /tmp: sockets lie in it, and their paths are short. Move only.
#ifndef ALCHEMIST_TOOLS_DAEMONS_WORK_DIRECTORY_H_
#define ALCHEMIST_TOOLS_DAEMONS_WORK_DIRECTORY_H_

#include <string>

#include "absl/strings/string_view.h"
#include "base/status.h"

namespace alchemist {

class WorkDirectory {
 public:
  static absl::StatusOr<WorkDirectory> Create(absl::string_view program);
  WorkDirectory(WorkDirectory&& other) noexcept;
  WorkDirectory& operator=(WorkDirectory&&) = delete;
  ~WorkDirectory();

  const std::string& path() const { return path_; }

 private:
  explicit WorkDirectory(std::string path);
  std::string path_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_DAEMONS_WORK_DIRECTORY_H_
