#include "tools/gpu_check/mps_daemon.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr char kProgram[] = "nvidia-cuda-mps-control";
constexpr char kSetpriv[] = "/usr/bin/setpriv";  // Of util-linux: the daemon dies with us.
constexpr char kServer[] = "nvidia-cuda-mps";    // The first 15 letters of the server's name.
constexpr int64_t kListeningUs = 10'000'000;
constexpr int64_t kQuitUs = 15'000'000;
constexpr int kKillMs = 10'000;
constexpr int64_t kPollUs = 10'000;

absl::StatusOr<std::string> FindProgram() {
  const char* const path = std::getenv("PATH");
  for (const absl::string_view directory : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    const std::string candidate = absl::StrCat(directory, "/", kProgram);
    if (!directory.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(absl::StrCat(kProgram, " is not on the PATH"));
}

bool IsServer(pid_t pid) {
  const auto name = ReadFile(absl::StrCat("/proc/", pid, "/comm"), 64);
  return name.ok() && absl::StartsWith(*name, kServer);
}

void EndServer(pid_t pid) {
  const FileDescriptor pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid() || !IsServer(pid)) return;  // It has ended by itself.
  LOG(WARNING) << "MPS server " << pid << " does not end, and is killed";
  syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  pollfd end = {pidfd.get(), POLLIN, 0};
  if (poll(&end, 1, kKillMs) <= 0) LOG(ERROR) << "MPS server " << pid << " cannot be killed";
}

}  // namespace

absl::StatusOr<std::unique_ptr<MpsDaemon>> MpsDaemon::Start(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::string program, FindProgram());
  std::unique_ptr<MpsDaemon> daemon(new MpsDaemon(program, directory));
  for (const auto& [variable, path] : daemon->Environment()) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus("mkdir", path);
  }
  ASSIGN_OR_RETURN(daemon->process_,
                   Process::Start({.command = {kSetpriv, "--pdeathsig", "TERM", program, "-f"},
                                   .environment = daemon->Environment(),
                                   .log_path = directory + "/control.log"}));
  RETURN_IF_ERROR(daemon->WaitUntilListening());
  return daemon;
}

// "quit" waits for servers whose clients have ended, at most so long; a server that does not end
// would keep the device.
MpsDaemon::~MpsDaemon() {
  if (process_ == nullptr) return;
  std::vector<pid_t> servers;
  for (const absl::string_view line : absl::StrSplit(Ask("get_server_list"), '\n')) {
    pid_t server = 0;
    if (absl::SimpleAtoi(line, &server) && IsServer(server)) servers.push_back(server);
  }
  Ask("quit -t 5");
  if (!process_->WaitForExit(kQuitUs))
    LOG(WARNING) << "the MPS daemon does not quit, and is killed";
  for (const pid_t server : servers) EndServer(server);
}

std::string MpsDaemon::Ask(const std::string& command) {
  const std::string log = absl::StrCat(directory_, "/answer-", ++questions_, ".log");
  const auto asked =
      Process::Start({.command = {"/bin/sh", "-c", absl::StrCat("echo ", command, " | ", program_)},
                      .environment = Environment(),
                      .log_path = log});
  if (!asked.ok() || !(*asked)->WaitForExit(kQuitUs)) return "";
  return (*asked)->Log();
}

std::vector<std::pair<std::string, std::string>> MpsDaemon::Environment() const {
  return {{"CUDA_MPS_PIPE_DIRECTORY", pipe_directory()},
          {"CUDA_MPS_LOG_DIRECTORY", directory_ + "/log"}};
}

absl::Status MpsDaemon::WaitUntilListening() {
  const std::string socket = pipe_directory() + "/control";
  const int64_t end_us = Clock::Real()->MonotonicUs() + kListeningUs;
  while (access(socket.c_str(), F_OK) != 0) {
    if (process_->WaitForExit(kPollUs)) {
      return absl::UnavailableError(absl::StrCat("the MPS daemon ended: ", process_->Log()));
    }
    if (Clock::Real()->MonotonicUs() > end_us) {
      return absl::UnavailableError("the MPS daemon does not listen");
    }
  }
  return absl::OkStatus();
}

}  // namespace alchemist
