// The attach socket between two real processes: the child is the trainer.
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "activation_store/attach_listener.h"
#include "activation_store/control_pages.h"
#include "activation_store/reader.h"
#include "activation_store/store.h"
#include "base/bounded_queue.h"
#include "base/packet.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr uint64_t kCanary = 77;
constexpr int64_t kWaitUs = 20'000'000;

int64_t OpenDescriptors() {
  int64_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

class AttachTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/store." + std::to_string(getpid()) + ".sock";
    StoreOptions options;
    options.layers = 1;
    options.block_layers = 2;
    options.kv_page_bytes = 2 * kKvPageTokens * 8 * 4;
    options.serving_kv_bytes = 1 << 16;
    options.arena_bytes = 1 << 20;
    options.block_tensors = {{0, 4, 8 * 4, false}};
    store_ = *ActivationStore::Create(options, kCanary);
    server_page_ = *SharedMemory::Create("server-page", kControlPageBytes);
    Listen(DType::kBf16);
  }

  void Listen(DType dtype) {
    const StoreOptions options;
    AttachListener::Options listen;
    listen.socket_path = path_;
    listen.reply.dtype = dtype;
    listen.reply.arena_bytes = store_->arena().bytes();
    listen.reply.page_bytes = options.page_bytes;
    listen.reply.generations_bytes = store_->generations().bytes();
    listen.reply.store_epoch = 9;
    listen.fds = {store_->arena().fd(), store_->generations().fd(), server_page_.fd()};
    listen.on_event = [this](AttachEvent event) { events_.TryPush(std::move(event)); };
    listener_ = *AttachListener::Create(std::move(listen));
    listener_->Start();
  }

  // Runs `trainer` in a child process, which exits with its result.
  pid_t Fork(const std::function<int()>& trainer) {
    const pid_t pid = fork();
    if (pid == 0) _exit(trainer());
    return pid;
  }
  static int WaitFor(pid_t pid) {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  AttachEvent NextEvent() {
    std::optional<AttachEvent> event = events_.Pop(kWaitUs);
    EXPECT_TRUE(event.has_value()) << "no event within 20 s";
    return event.value_or(AttachEvent{});
  }

  std::string path_;
  std::unique_ptr<ActivationStore> store_;
  SharedMemory server_page_;
  BoundedQueue<AttachEvent> events_{16};
  std::unique_ptr<AttachListener> listener_;
};

TEST_F(AttachTest, TheTrainerReadsALeasedRecordThroughItsOwnMapping) {
  const uint64_t record = store_->Begin({}, {}, 0);
  ASSERT_TRUE(store_->AppendKvPages(record, 3));
  const Block* block = store_->AppendBlock({{record, 0, 3, 0}});
  ASSERT_NE(block, nullptr);
  auto* rows = reinterpret_cast<float*>(store_->data() + *block->Offset(0));
  for (int i = 0; i < 24; ++i) rows[i] = static_cast<float>(i);
  store_->Seal(record, 3, {});
  auto descriptor = store_->Lease(record, 1);
  ASSERT_TRUE(descriptor.ok());
  const pid_t pid = Fork([&] {
    auto reader = StoreReader::Attach(path_);
    if (!reader.ok()) return 1;
    if ((*reader)->canary() != kCanary || (*reader)->info().store_epoch != 9) return 2;
    auto view = (*reader)->View(descriptor->runs[0].layers[0][0], 8, DType::kF32);
    if (!view.ok() || view->rows != 3 || view->Row<float>(2)[7] != 23.0f) return 3;
    if (!(*reader)->View(descriptor->kv_pages[0], 8, DType::kF32).ok()) return 4;
    (*reader)->trainer_page().heartbeat = 42;
    // The arena cannot be made writable, by a new mapping or by the old one.
    if (mprotect(const_cast<void*>(view->data), 1, PROT_READ | PROT_WRITE) == 0) return 5;
    return 0;
  });
  const AttachEvent attached = NextEvent();
  EXPECT_EQ(attached.kind, AttachEvent::Kind::kAttached);
  EXPECT_EQ(attached.pid, pid);
  EXPECT_EQ(WaitFor(pid), 0);
  ASSERT_NE(attached.trainer_page, nullptr);
  EXPECT_EQ(reinterpret_cast<const TrainerPage*>(attached.trainer_page->data())->heartbeat, 42u);
}

TEST_F(AttachTest, SlotsThatDoNotFitAreRefused) {
  const pid_t pid = Fork([&] {
    auto reader = StoreReader::Attach(path_);
    if (!reader.ok()) return 1;
    TensorSlot slot;
    slot.residency = kOnDevice;
    slot.rows = 1;
    slot.bytes = 32;
    slot.offset = ~uint64_t{0} - 31;  // Wraps around.
    if ((*reader)->View(slot, 8, DType::kF32).ok()) return 2;
    slot.offset = (1 << 20) - 16;  // Reaches past the end.
    if ((*reader)->View(slot, 8, DType::kF32).ok()) return 3;
    slot.offset = 4096;
    if (!(*reader)->View(slot, 8, DType::kF32).ok()) return 4;
    if ((*reader)->View(slot, 16, DType::kF32).ok()) return 5;  // Another width.
    slot.generation = 1;
    if ((*reader)->View(slot, 8, DType::kF32).ok()) return 6;  // Another generation.
    slot.generation = 0;
    slot.rows = int64_t{1} << 60;
    slot.bytes = static_cast<uint64_t>(slot.rows) * 32;
    if ((*reader)->View(slot, 8, DType::kF32).ok()) return 7;
    return 0;
  });
  EXPECT_EQ(WaitFor(pid), 0);
}

TEST_F(AttachTest, ASecondTrainerWaitsUntilTheFirstIsProvenDead) {
  const pid_t first = Fork([&] {
    auto reader = StoreReader::Attach(path_);
    pause();
    return 0;
  });
  const AttachEvent attached = NextEvent();
  ASSERT_EQ(attached.kind, AttachEvent::Kind::kAttached);
  EXPECT_EQ(StoreReader::Attach(path_).status().code(), absl::StatusCode::kResourceExhausted);
  listener_->Kill(attached.session_epoch + 1);  // Another session's epoch kills nobody.
  listener_->Kill(attached.session_epoch);
  EXPECT_EQ(WaitFor(first), -SIGKILL);
  AttachEvent event = NextEvent();
  if (event.kind == AttachEvent::Kind::kStreamEnded) event = NextEvent();
  EXPECT_EQ(event.kind, AttachEvent::Kind::kExited);
  EXPECT_EQ(event.session_epoch, attached.session_epoch);
  auto second = StoreReader::Attach(path_);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_GT((*second)->info().session_epoch, attached.session_epoch);
}

TEST_F(AttachTest, WithoutAFreeDescriptorTrainerAndListenerWait) {
  const FileDescriptor trainer(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(trainer.valid());
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit few = limit;
  few.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<FileDescriptor> all;
  do {
    all.emplace_back(dup(STDIN_FILENO));
  } while (all.back().valid());
  const std::clock_t begun = std::clock();
  ASSERT_EQ(connect(trainer.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_FALSE(events_.Pop(/*timeout_us=*/500'000).has_value());
  EXPECT_LT(std::clock() - begun, CLOCKS_PER_SEC / 20) << "of the processor's time";
  all.clear();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(NextEvent().kind, AttachEvent::Kind::kAttached);
}

TEST_F(AttachTest, TalkingOnTheSocketEndsTheSessionAndLeaksNothing) {
  ASSERT_TRUE(StoreReader::Attach(path_).ok());  // Attaches, and goes at once.
  ASSERT_EQ(NextEvent().kind, AttachEvent::Kind::kAttached);
  const AttachEvent ended = NextEvent();
  ASSERT_EQ(ended.kind, AttachEvent::Kind::kStreamEnded);
  listener_->EndSession(ended.session_epoch);
  const int64_t before = OpenDescriptors();
  for (int round = 0; round < 20; ++round) {
    {
      auto reader = StoreReader::Attach(path_);
      ASSERT_TRUE(reader.ok()) << reader.status();
      const std::byte half[3] = {};
      const int fds[] = {0, 1, 2};
      ASSERT_TRUE(SendPacket((*reader)->attach_socket(), half, fds).ok());
      ASSERT_EQ(NextEvent().kind, AttachEvent::Kind::kAttached);
      const AttachEvent event = NextEvent();
      ASSERT_EQ(event.kind, AttachEvent::Kind::kStreamEnded);
      listener_->EndSession(event.session_epoch);
    }
    EXPECT_LE(OpenDescriptors(), before + 1) << "round " << round;
  }
}

TEST_F(AttachTest, TheReplyNamesTheModelsType) {
  EXPECT_EQ((*StoreReader::Attach(path_))->info().dtype, DType::kBf16);
  for (const DType dtype : {DType::kF16, static_cast<DType>(7)}) {
    listener_.reset();
    Listen(dtype);
    const absl::Status status = StoreReader::Attach(path_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  }
}

TEST_F(AttachTest, AServerThatGoesIsSeenAsTheEndOfTheStream) {
  auto reader = StoreReader::Attach(path_);
  ASSERT_TRUE(reader.ok());
  listener_.reset();
  const absl::Status status = ReceivePacket((*reader)->attach_socket(), 1, 0, kWaitUs).status();
  EXPECT_EQ(status.message(), "packet socket: end of stream");
  EXPECT_EQ(StoreReader::Attach(path_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace alchemist
