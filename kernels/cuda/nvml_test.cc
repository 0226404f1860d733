// Who the driver counts as users of a device, across their deaths.
#include "kernels/cuda/nvml.h"

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cuda/testing.h"

namespace alchemist {
namespace {

constexpr int64_t kBytes = 8 << 20;

class NvmlTest : public CudaTest {
 protected:
  void SetUp() override {
    if (!IsOnStandIn()) GTEST_SKIP() << kNeedsStandIn;
    CudaTest::SetUp();
    if (HasFatalFailure()) return;  // There is no device.
    auto nvml = Nvml::Load(TestCudaDriver());
    ASSERT_TRUE(nvml.ok()) << nvml.status();
    nvml_ = *std::move(nvml);
  }

  std::vector<Nvml::User> Users() {
    auto users = nvml_->Users(device_->info().uuid);
    EXPECT_TRUE(users.ok()) << users.status();
    return users.ok() ? *std::move(users) : std::vector<Nvml::User>();
  }
  // What `pid` is charged; none when it is not listed.
  std::optional<int64_t> Charged(pid_t pid) {
    for (const Nvml::User& user : Users()) {
      if (user.pid == pid) return user.bytes;
    }
    return std::nullopt;
  }

  std::unique_ptr<Nvml> nvml_;
};

TEST_F(NvmlTest, AProcessIsListedWithItsMemoryUntilItDies) {
  const auto own_bytes = Charged(getpid());
  ASSERT_TRUE(own_bytes.has_value());
  TestPeer peer("NvmlTest.PeerAllocatesAndWaits");
  Receive(peer.socket());
  EXPECT_EQ(Users().size(), 2U);
  EXPECT_EQ(Charged(peer.pid()), *own_bytes + kBytes);
  const pid_t pid = peer.pid();
  peer.Kill();
  EXPECT_EQ(Charged(pid), std::nullopt);
  EXPECT_EQ(Charged(getpid()), own_bytes);
}

TEST_F(NvmlTest, MoreUsersThanWereGuessedAreAllListed) {
  std::vector<std::unique_ptr<TestPeer>> peers;
  for (int i = 0; i < 5; ++i) {
    peers.push_back(std::make_unique<TestPeer>("NvmlTest.PeerAllocatesAndWaits"));
  }
  for (const auto& peer : peers) Receive(peer->socket());
  EXPECT_EQ(Users().size(), 6U);
  for (const auto& peer : peers) EXPECT_TRUE(Charged(peer->pid()).has_value());
}

TEST_F(NvmlTest, ADeviceThatIsNotThereIsAnErrorThatNamesIt) {
  const absl::Status status = nvml_->Users("GPU-0").status();
  EXPECT_EQ(status.message(), "nvmlDeviceGetHandleByUUID GPU-0: Not Found");
}

TEST_F(NvmlTest, TheDriversVersionIsText) {
  const auto version = nvml_->DriverVersion();
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "580.00 (stand-in)");
}

TEST(NvmlLoadTest, WithoutTheLibraryItIsNotFound) {
  EXPECT_EQ(Nvml::Load("/nonexistent/libnvidia-ml.so.1").status().code(),
            absl::StatusCode::kNotFound);
  // A library that is another one.
  EXPECT_EQ(Nvml::Load("libm.so.6").status().code(), absl::StatusCode::kFailedPrecondition);
}

CUDA_TEST_PEER(NvmlTest, PeerAllocatesAndWaits) {
  const Buffer buffer = Allocate(kBytes);
  Send(kPeerSocket, {1});
  Receive(kPeerSocket);  // Until it is killed.
}

}  // namespace
}  // namespace alchemist
