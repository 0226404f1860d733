#include "tools/gpu_check/mps_daemon.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr char kProgram[] = "nvidia-cuda-mps-control";
constexpr int64_t kListeningUs = 10'000'000;
constexpr int64_t kQuitUs = 10'000'000;
constexpr int64_t kPollUs = 10'000;

absl::StatusOr<std::string> FindProgram() {
  const char* const path = std::getenv("PATH");
  for (const absl::string_view directory : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    const std::string candidate = absl::StrCat(directory, "/", kProgram);
    if (!directory.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(absl::StrCat(kProgram, " is not on the PATH"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MpsDaemon>> MpsDaemon::Start(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::string program, FindProgram());
  std::unique_ptr<MpsDaemon> daemon(new MpsDaemon(program, directory));
  for (const auto& [variable, path] : daemon->environment()) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus("mkdir", path);
  }
  ASSIGN_OR_RETURN(daemon->process_, Process::Start({.command = {program, "-f"},
                                                     .environment = daemon->environment(),
                                                     .log_path = directory + "/control.log"}));
  RETURN_IF_ERROR(daemon->WaitUntilListening());
  return daemon;
}

MpsDaemon::~MpsDaemon() {
  if (process_ == nullptr) return;
  const auto quit =
      Process::Start({.command = {"/bin/sh", "-c", absl::StrCat("echo quit | ", program_)},
                      .environment = environment(),
                      .log_path = directory_ + "/quit.log"});
  if (!quit.ok() || !process_->WaitForExit(kQuitUs)) {
    LOG(WARNING) << "the MPS daemon does not quit and is killed";
  }
}

std::vector<std::pair<std::string, std::string>> MpsDaemon::environment() const {
  return {{"CUDA_MPS_PIPE_DIRECTORY", directory_ + "/pipe"},
          {"CUDA_MPS_LOG_DIRECTORY", directory_ + "/log"}};
}

absl::Status MpsDaemon::WaitUntilListening() {
  const std::string socket = directory_ + "/pipe/control";
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
