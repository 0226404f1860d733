// MpsDaemon with a script in the place of NVIDIA's program.
#include "tools/gpu_check/mps_daemon.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "base/file.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

// Its server is a process of the server's name that outlives "quit".
constexpr char kDaemon[] = R"sh(#!/bin/sh
if [ "$1" = -f ]; then
  echo $$ > "$CUDA_MPS_LOG_DIRECTORY/pid"
  cp /bin/sleep "$CUDA_MPS_LOG_DIRECTORY/nvidia-cuda-mps-server"
  setsid "$CUDA_MPS_LOG_DIRECTORY/nvidia-cuda-mps-server" 1000 &
  echo $! > "$CUDA_MPS_LOG_DIRECTORY/server"
  touch "$CUDA_MPS_PIPE_DIRECTORY/control"
  wait
fi
read word
echo "$word" >> "$CUDA_MPS_LOG_DIRECTORY/asked"
case "$word" in
  get_server_list) cat "$CUDA_MPS_LOG_DIRECTORY/server" ;;
  quit*) kill "$(cat "$CUDA_MPS_LOG_DIRECTORY/pid")" ;;
esac
)sh";
constexpr char kBrokenDaemon[] = "#!/bin/sh\necho no device\nexit 3\n";

class MpsDaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "/mps.XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
    setenv("PATH", ("/usr/bin:/bin:" + directory_).c_str(), 1);
  }
  void Install(const char* script) {
    const std::string program = directory_ + "/nvidia-cuda-mps-control";
    std::ofstream(program) << script;
    ASSERT_EQ(chmod(program.c_str(), 0755), 0);
  }
  std::string Read(const std::string& name) {
    const auto text = ReadFile(directory_ + "/log/" + name, 1 << 10);
    return text.ok() ? *text : "";
  }

  // A killed process that nobody has waited for yet runs no more.
  static bool Runs(int pid) {
    const auto text = ReadFile("/proc/" + std::to_string(pid) + "/stat", 1 << 12);
    return text.ok() && text->find(") Z ") == std::string::npos;
  }

  std::string directory_;
};

TEST_F(MpsDaemonTest, ListensInADirectoryOfItsOwnAndNeitherItNorItsServerOutlivesIt) {
  Install(kDaemon);
  int pid = 0;
  int server = 0;
  {
    const auto daemon = MpsDaemon::Start(directory_);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    EXPECT_EQ((*daemon)->pipe_directory(), directory_ + "/pipe");
    pid = std::stoi(Read("pid"));
    server = std::stoi(Read("server"));
    EXPECT_EQ(kill(pid, 0), 0);
    EXPECT_EQ(kill(server, 0), 0);
  }
  EXPECT_EQ(Read("asked"), "get_server_list\nquit -t 5\n");
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_FALSE(Runs(server));
}

TEST_F(MpsDaemonTest, WithoutTheProgramItIsNotFound) {
  const absl::Status status = MpsDaemon::Start(directory_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "nvidia-cuda-mps-control is not on the PATH");
}

TEST_F(MpsDaemonTest, ADaemonThatEndsAtOnceSaysWhy) {
  Install(kBrokenDaemon);
  const absl::Status status = MpsDaemon::Start(directory_).status();
  EXPECT_EQ(status.message(), "the MPS daemon ended: no device\n");
}

}  // namespace
}  // namespace alchemist
