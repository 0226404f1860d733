// What the tests of the CUDA backend share. They run on the stand-in driver (stand_in/stand_in.h),
// or on a GPU where ALCHEMIST_TEST_CUDA_DRIVER names NVIDIA's driver library. One thread.
#ifndef ALCHEMIST_KERNELS_CUDA_TESTING_H_
#define ALCHEMIST_KERNELS_CUDA_TESTING_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/file.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_probes.h"
#include "kernels/cuda/cuda_stream.h"

namespace alchemist {

// The driver to test on. The stand-in's device is then this test's own, and its peers'.
std::string TestCudaDriver();
// Of a test that changes what the device is: GTEST_SKIP() << kNeedsStandIn.
bool IsOnStandIn();
inline constexpr char kNeedsStandIn[] = "only the stand-in driver can be told to be so";

int64_t CountDescriptors();  // Of this process.
// On the stand-in: a GPU's driver opens some of its own when it first needs them.
void ExpectDescriptors(int64_t count);

// Runs `action` with the first call of each of `entries` failing, then the second, ...: until it
// calls none so often. Each time it must fail by the entry's name, and `check` what is left.
// REQUIRES: IsOnStandIn.
void SweepFailures(const std::vector<std::string>& entries,
                   const std::function<absl::Status()>& action, const std::function<void()>& check);

// A device, with a stream and probes on it. Death tests of these run as processes of their own:
// there a test may lose the context.
class CudaTest : public testing::Test {
 protected:
  CudaTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  void SetUp() override;

  int64_t BytesFree();
  // Exactly so many on the stand-in. On a GPU, where contexts and page tables come and go, within
  // 64 MiB, and within seconds.
  void ExpectBytesFree(int64_t bytes);
  Buffer Allocate(int64_t bytes);  // Of zeros.
  template <typename T>
  void Write(uint64_t address, absl::Span<const T> values) {
    const absl::Status copied =
        stream_.CopyToDevice(address, values.data(), values.size() * sizeof(T));
    ASSERT_TRUE(copied.ok()) << copied;
  }
  template <typename T>
  std::vector<T> Read(uint64_t address, int64_t count) {
    std::vector<T> values(count);
    const absl::Status copied =
        stream_.CopyToHost(values.data(), address, values.size() * sizeof(T));
    EXPECT_TRUE(copied.ok()) << copied;
    return values;
  }
  // Of `bytes` of the pattern of `seed`; -1, and the test has failed, when they cannot be counted.
  int64_t Mismatches(uint64_t address, int64_t bytes, uint32_t seed);
  void FillPattern(uint64_t address, int64_t bytes, uint32_t seed);

  std::unique_ptr<CudaDevice> device_;
  CudaStream stream_;
  std::optional<CudaProbes> probes_;
};

uint64_t AddressOf(const Buffer& buffer);

// A second process: this test's binary again, for one CUDA_TEST_PEER, with a packet socket between
// the two. A process and not a fork, because a driver does not survive one. Killed, if it still
// runs, when this is destroyed.
class TestPeer {
 public:
  explicit TestPeer(const std::string& test);  // "Fixture.Name"
  TestPeer(const TestPeer&) = delete;
  TestPeer& operator=(const TestPeer&) = delete;
  ~TestPeer();

  int socket() const { return socket_.get(); }
  pid_t pid() const { return process_; }
  bool HasPassed();  // Waits for its end.
  void Kill();       // kill -9, and waits until it is gone.

 private:
  FileDescriptor socket_;
  pid_t process_ = -1;
};
// In the peer: its end of the socket.
inline constexpr int kPeerSocket = 3;

// A test that is there in a TestPeer's process alone.
bool IsTestPeer();
template <typename Fixture>
bool RegisterPeer(const char* fixture, const char* name, Fixture* (*make_test)()) {
  if (!IsTestPeer()) return false;
  testing::RegisterTest(fixture, name, nullptr, nullptr, __FILE__, __LINE__, make_test);
  return true;
}
#define CUDA_TEST_PEER(fixture, name)                                                            \
  class fixture##_##name : public fixture {                                                      \
    void TestBody() override;                                                                    \
  };                                                                                             \
  [[maybe_unused]] const bool fixture##_##name##_is_there =                                      \
      RegisterPeer<fixture>(#fixture, #name, []() -> fixture* { return new fixture##_##name; }); \
  void fixture##_##name::TestBody()

// One packet to or from the other process, at most 253 descriptors; waits for 20 s at most.
void Send(int socket, absl::Span<const uint8_t> bytes, absl::Span<const FileDescriptor> fds = {});
struct Received {
  std::vector<uint8_t> bytes;
  std::vector<FileDescriptor> fds;
};
Received Receive(int socket);

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_TESTING_H_
