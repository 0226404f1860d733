// MpsDaemon: NVIDIA's Multi-Process Service for the processes that are told where it listens, and
// for no others: in a directory of its own. The destructor ends it and its servers, and so does
// this process's death. It changes no setting of the device. One thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_MPS_DAEMON_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_MPS_DAEMON_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "tools/daemons/process.h"

namespace alchemist {

class MpsDaemon {
 public:
  // `directory` is there and empty. NotFound where nvidia-cuda-mps-control is not on the PATH.
  static absl::StatusOr<std::unique_ptr<MpsDaemon>> Start(const std::string& directory);
  ~MpsDaemon();

  // What its clients' CUDA_MPS_PIPE_DIRECTORY must be.
  std::string pipe_directory() const { return directory_ + "/pipe"; }

 private:
  MpsDaemon(std::string program, std::string directory)
      : program_(std::move(program)), directory_(std::move(directory)) {}
  absl::Status WaitUntilListening();
  std::vector<std::pair<std::string, std::string>> Environment() const;
  // What the daemon answers to `command`; empty when it does not.
  std::string Ask(const std::string& command);

  const std::string program_;
  const std::string directory_;
  std::unique_ptr<Process> process_;
  int questions_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_MPS_DAEMON_H_
