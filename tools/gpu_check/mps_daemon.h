// MpsDaemon: NVIDIA's Multi-Process Service for the processes that are given its environment, and
// for no others: it listens in a directory of its own. The destructor ends it. It changes no
// setting of the device. One thread.
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

  std::vector<std::pair<std::string, std::string>> environment() const;

 private:
  MpsDaemon(std::string program, std::string directory)
      : program_(std::move(program)), directory_(std::move(directory)) {}
  absl::Status WaitUntilListening();

  const std::string program_;
  const std::string directory_;
  std::unique_ptr<Process> process_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_MPS_DAEMON_H_
