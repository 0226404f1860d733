#include "kernels/cuda/testing.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/packet.h"

namespace alchemist {
namespace {

constexpr int64_t kWaitUs = 20'000'000;
constexpr int64_t kSettlesUs = 3'000'000;
constexpr int64_t kSlackBytes = 64 << 20;
constexpr int64_t kPacketBytesMax = 1024;
constexpr int kCallsMax = 100;   // Of one entry, by one swept action.
constexpr int kOutOfMemory = 2;  // CUDA_ERROR_OUT_OF_MEMORY: any error would do.

const char* NamedDriver() { return std::getenv("ALCHEMIST_TEST_CUDA_DRIVER"); }

char peer_variable[] = "ALCHEMIST_TEST_PEER=1";

// This process's and that variable, less what would have a peer write over this test's report.
std::vector<char*> PeerEnvironment() {
  std::vector<char*> variables = {peer_variable};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, "XML_OUTPUT_FILE=")) variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  return variables;
}

}  // namespace

std::string TestCudaDriver() {
  if (NamedDriver() != nullptr) return NamedDriver();
  setenv("ALCHEMIST_STAND_IN_MACHINE", absl::StrCat(".", getpid()).c_str(), /*replace=*/0);
  return absl::StrCat(std::getenv("TEST_SRCDIR"),
                      "/alchemist/kernels/cuda/stand_in/libcuda_stand_in.so");
}

// A peer dies with its test: else it would keep the device, and whoever waits for its output.
bool IsTestPeer() {
  if (std::getenv("ALCHEMIST_TEST_PEER") == nullptr) return false;
  return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

bool IsOnStandIn() { return NamedDriver() == nullptr; }

int64_t CountDescriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

void ExpectDescriptors(int64_t count) {
  if (!IsOnStandIn()) return;
  EXPECT_EQ(CountDescriptors(), count);
}

void SweepFailures(const std::vector<std::string>& entries,
                   const std::function<absl::Status()>& action,
                   const std::function<void()>& check) {
  for (const std::string& entry : entries) {
    int failed = 0;
    while (failed < kCallsMax) {
      const std::string setting = absl::StrCat(entry, ":", failed + 1, ":", kOutOfMemory);
      SCOPED_TRACE(setting);
      setenv("ALCHEMIST_STAND_IN_FAIL", setting.c_str(), /*replace=*/1);
      const absl::Status status = action();
      unsetenv("ALCHEMIST_STAND_IN_FAIL");
      check();
      if (status.ok()) break;
      EXPECT_TRUE(absl::StartsWith(status.message(), entry)) << status;
      ++failed;
    }
    EXPECT_GT(failed, 0) << entry << " is not called, or its failure is not seen";
    EXPECT_LT(failed, kCallsMax) << entry << " fails without an injected failure too";
  }
}

void CudaTest::SetUp() {
  auto device = CudaDevice::Open({.driver_library = TestCudaDriver()});
  ASSERT_TRUE(device.ok()) << device.status();
  device_ = *std::move(device);
  auto stream = CudaStream::Create(device_.get());
  ASSERT_TRUE(stream.ok()) << stream.status();
  stream_ = *std::move(stream);
  auto probes = CudaProbes::Load(device_.get());
  ASSERT_TRUE(probes.ok()) << probes.status();
  probes_ = *std::move(probes);
}

int64_t CudaTest::BytesFree() {
  const absl::StatusOr<int64_t> bytes = device_->BytesFree();
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or(-1);
}

void CudaTest::ExpectBytesFree(int64_t bytes) {
  if (IsOnStandIn()) {
    EXPECT_EQ(BytesFree(), bytes);
    return;
  }
  const int64_t end_us = Clock::Real()->MonotonicUs() + kSettlesUs;
  while (std::abs(BytesFree() - bytes) > kSlackBytes && Clock::Real()->MonotonicUs() < end_us) {
    poll(nullptr, 0, 1);
  }
  EXPECT_NEAR(BytesFree(), bytes, kSlackBytes);
}

Buffer CudaTest::Allocate(int64_t bytes) {
  absl::StatusOr<Buffer> buffer = device_->Allocate(bytes);
  EXPECT_TRUE(buffer.ok()) << buffer.status();
  return buffer.ok() ? *std::move(buffer) : Buffer();
}

int64_t CudaTest::Mismatches(uint64_t address, int64_t bytes, uint32_t seed) {
  const absl::StatusOr<int64_t> count = probes_->CountMismatches(address, bytes, seed, stream_);
  EXPECT_TRUE(count.ok()) << count.status();
  return count.value_or(-1);
}

void CudaTest::FillPattern(uint64_t address, int64_t bytes, uint32_t seed) {
  absl::Status filled = probes_->FillPattern(address, bytes, seed, stream_);
  filled.Update(stream_.Synchronize());
  ASSERT_TRUE(filled.ok()) << filled;
}

uint64_t AddressOf(const Buffer& buffer) { return reinterpret_cast<uint64_t>(buffer.data()); }

TestPeer::TestPeer(const std::string& test) {
  TestCudaDriver();  // Says to both which device is theirs.
  auto sockets = SeqpacketPair();
  EXPECT_TRUE(sockets.ok()) << sockets.status();
  if (!sockets.ok()) return;
  socket_ = std::move(sockets->first);
  std::string binary = "/proc/self/exe";
  std::string filter = absl::StrCat("--gtest_filter=", test);
  char* arguments[] = {binary.data(), filter.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, sockets->second.get(), kPeerSocket);
  const int error = posix_spawn(&process_, binary.c_str(), &actions, nullptr, arguments,
                                PeerEnvironment().data());
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0) << std::strerror(error);
}

TestPeer::~TestPeer() {
  if (process_ > 0) Kill();
}

bool TestPeer::HasPassed() {
  int status = 0;
  const pid_t ended = waitpid(process_, &status, 0);
  process_ = -1;
  return ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void TestPeer::Kill() {
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = -1;
}

void Send(int socket, absl::Span<const uint8_t> bytes, absl::Span<const FileDescriptor> fds) {
  std::vector<int> numbers;
  for (const FileDescriptor& fd : fds) numbers.push_back(fd.get());
  const absl::Status sent =
      SendPacket(socket, {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, numbers);
  ASSERT_TRUE(sent.ok()) << sent;
}

Received Receive(int socket) {
  Received received;
  absl::StatusOr<Packet> packet =
      ReceivePacket(socket, kPacketBytesMax, kPacketDescriptorsMax, kWaitUs);
  EXPECT_TRUE(packet.ok()) << packet.status();
  if (!packet.ok()) return received;
  for (const std::byte byte : packet->bytes)
    received.bytes.push_back(std::to_integer<uint8_t>(byte));
  received.fds = std::move(packet->fds);
  return received;
}

}  // namespace alchemist
