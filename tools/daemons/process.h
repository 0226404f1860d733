// Process: a program that this one starts, in a session of its own as systemd starts daemons, with
// its output in a file. The destructor kills its whole process group. One thread.
#ifndef ALCHEMIST_TOOLS_DAEMONS_PROCESS_H_
#define ALCHEMIST_TOOLS_DAEMONS_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace alchemist {

class Process {
 public:
  static constexpr int kInheritedFd = 3;

  struct Options {
    std::vector<std::string> command;  // The program's path, then its arguments.
    std::vector<std::pair<std::string, std::string>> environment = {};  // Beside our own.
    std::string log_path = {};                                          // Appended to.
    int inherited_fd = -1;  // A descriptor that the program finds as kInheritedFd; -1: none.
  };
  static absl::StatusOr<std::unique_ptr<Process>> Start(Options options);
  ~Process();

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  // Waits until it has ended; false when it has not within `timeout_us`.
  bool WaitForExit(int64_t timeout_us);
  bool running() { return !WaitForExit(0); }
  // As waitpid(2) gives it; nullopt while it runs.
  std::optional<int> wait_status() const { return wait_status_; }
  bool exited_with(int code) const;
  bool killed_by(int signal) const;

  // Of the running process, from /proc.
  int64_t CountDescriptors() const;
  // Everything the process wrote, with that of earlier ones with the same log.
  std::string Log() const;

 private:
  explicit Process(std::string log_path) : log_path_(std::move(log_path)) {}

  const std::string log_path_;
  pid_t pid_ = -1;
  FileDescriptor pidfd_;
  std::optional<int> wait_status_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_DAEMONS_PROCESS_H_
