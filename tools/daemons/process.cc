#include "tools/daemons/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kLogBytesMax = 64 << 20;
constexpr int64_t kKillTimeoutUs = 30'000'000;

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Our environment, where `changes` win.
std::vector<std::string> EnvironmentWith(
    const std::vector<std::pair<std::string, std::string>>& changes) {
  std::vector<std::string> environment;
  for (const auto& [name, value] : changes) environment.push_back(absl::StrCat(name, "=", value));
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool changed = false;
    for (const auto& [name, value] : changes) {
      changed = changed || absl::StartsWith(*entry, absl::StrCat(name, "="));
    }
    if (!changed) environment.emplace_back(*entry);
  }
  return environment;
}

int64_t CountEntries(const std::string& directory) {
  int64_t count = 0;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(directory, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

// posix_spawn instead of fork: our gRPC threads must not meet a fork handler.
absl::StatusOr<std::unique_ptr<Process>> Process::Start(Options options) {
  std::unique_ptr<Process> process(new Process(options.log_path));
  std::vector<std::string> environment = EnvironmentWith(options.environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, options.log_path.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  int last_fd = STDERR_FILENO;
  if (options.inherited_fd >= 0) {
    last_fd = kInheritedFd;
    posix_spawn_file_actions_adddup2(&actions, options.inherited_fd, last_fd);
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, last_fd + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  const int error = posix_spawn(&process->pid_, options.command[0].c_str(), &actions, &attributes,
                                Pointers(options.command).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    process->pid_ = -1;
    errno = error;
    return ErrnoStatus("posix_spawn", options.command[0]);
  }
  process->pidfd_ = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, process->pid_, 0)));
  PCHECK(process->pidfd_.valid()) << "pidfd_open";
  return process;
}

Process::~Process() {
  if (pid_ < 0 || wait_status_.has_value()) return;
  kill(-pid_, SIGKILL);  // Its session's process group; it is not reaped, so the number is its own.
  kill(pid_, SIGKILL);
  if (!WaitForExit(kKillTimeoutUs)) LOG(ERROR) << "process " << pid_ << " does not end";
}

void Process::Signal(int signal) const {
  PCHECK(syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) == 0 || errno == ESRCH);
}

bool Process::WaitForExit(int64_t timeout_us) {
  if (wait_status_.has_value()) return true;
  const Clock& clock = *Clock::Real();
  const int64_t deadline_us = clock.MonotonicUs() + timeout_us;
  pollfd entry = {pidfd_.get(), POLLIN, 0};
  int ready;
  do {
    const int64_t left_us = std::max<int64_t>(0, deadline_us - clock.MonotonicUs());
    ready = poll(&entry, 1, static_cast<int>((left_us + 999) / 1000));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return false;
  int status = 0;
  PCHECK(waitpid(pid_, &status, 0) == pid_);
  wait_status_ = status;
  return true;
}

bool Process::exited_with(int code) const {
  return wait_status_.has_value() && WIFEXITED(*wait_status_) && WEXITSTATUS(*wait_status_) == code;
}

bool Process::killed_by(int signal) const {
  return wait_status_.has_value() && WIFSIGNALED(*wait_status_) &&
         WTERMSIG(*wait_status_) == signal;
}

int64_t Process::CountDescriptors() const {
  return CountEntries(absl::StrCat("/proc/", pid_, "/fd"));
}

std::string Process::Log() const {
  const absl::StatusOr<std::string> log = ReadFile(log_path_, kLogBytesMax);
  return log.ok() ? *log : log.status().ToString();
}

}  // namespace alchemist
