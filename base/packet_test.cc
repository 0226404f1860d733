// Descriptors through a real socket: what arrives is the same memory, and nothing leaks.
#include "base/packet.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr int64_t kWaitUs = 10'000'000;
constexpr std::byte kByte{42};

int64_t CountDescriptors() {
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    count += entry.path().empty() ? 0 : 1;
  }
  return count;
}

class PacketTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pair = SeqpacketPair();
    ASSERT_TRUE(pair.ok()) << pair.status();
    std::tie(near_, far_) = *std::move(pair);
    memory_ = FileDescriptor(memfd_create("packet_test", MFD_CLOEXEC));
    ASSERT_TRUE(memory_.valid());
  }

  FileDescriptor near_;
  FileDescriptor far_;
  FileDescriptor memory_;
};

TEST_F(PacketTest, TheDescriptorThatArrivesIsTheSameMemory) {
  ASSERT_EQ(pwrite(memory_.get(), "same", 4, 0), 4);
  ASSERT_TRUE(SendPacket(near_.get(), {&kByte, 1}, {memory_.get()}).ok());
  const auto packet = ReceivePacket(far_.get(), 1, 1, kWaitUs);
  ASSERT_TRUE(packet.ok()) << packet.status();
  ASSERT_EQ(packet->fds.size(), 1U);
  EXPECT_NE(packet->fds[0].get(), memory_.get());
  char text[4];
  ASSERT_EQ(pread(packet->fds[0].get(), text, 4, 0), 4);
  EXPECT_EQ(std::string(text, 4), "same");
}

TEST_F(PacketTest, AsManyDescriptorsAsTheKernelAllowsTravelAtOnce) {
  const std::vector<int> fds(kPacketDescriptorsMax, memory_.get());
  ASSERT_TRUE(SendPacket(near_.get(), {&kByte, 1}, fds).ok());
  const auto packet = ReceivePacket(far_.get(), 1, kPacketDescriptorsMax, kWaitUs);
  ASSERT_TRUE(packet.ok()) << packet.status();
  EXPECT_EQ(packet->fds.size(), static_cast<size_t>(kPacketDescriptorsMax));
}

TEST_F(PacketTest, TooManyDescriptorsAreRefusedAndClosed) {
  const int64_t before = CountDescriptors();
  ASSERT_TRUE(SendPacket(near_.get(), {&kByte, 1}, {memory_.get(), memory_.get()}).ok());
  EXPECT_EQ(ReceivePacket(far_.get(), 1, 1, kWaitUs).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CountDescriptors(), before);
}

TEST_F(PacketTest, APacketLongerThanAgreedIsRefused) {
  const std::byte two[2] = {};
  ASSERT_TRUE(SendPacket(near_.get(), two, {}).ok());
  EXPECT_EQ(ReceivePacket(far_.get(), 1, 0, kWaitUs).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(PacketTest, SilenceAndTheEndOfTheStreamAreDifferentErrors) {
  EXPECT_EQ(ReceivePacket(far_.get(), 1, 0, 0).status().message(),
            "packet socket: no answer in time");
  near_ = FileDescriptor();
  EXPECT_EQ(ReceivePacket(far_.get(), 1, 0, kWaitUs).status().message(),
            "packet socket: end of stream");
}

}  // namespace
}  // namespace alchemist
