#include "server/command_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "server/retry_pushback.h"

namespace alchemist {
namespace {

TEST(CommandQueueTest, InternalCommandsGoFirst) {
  CommandQueue queue;
  std::string order;
  ASSERT_TRUE(queue.Post([&] { order += "a"; }).ok());
  ASSERT_TRUE(queue.TryPost([&] { order += "b"; }).ok());
  queue.PostInternal([&] { order += "i"; });
  EXPECT_FALSE(queue.Run());
  EXPECT_EQ(order, "iab");
}

// What was to wake the loop is taken away by Run itself: nothing would wake it any more.
TEST(CommandQueueTest, AnInternalCommandThatComesMeanwhileIsNotLeftBehind) {
  CommandQueue queue;
  bool done = false;
  ASSERT_TRUE(queue.Post([&] { queue.PostInternal([&] { done = true; }); }).ok());
  EXPECT_FALSE(queue.Run());
  EXPECT_TRUE(done);
}

TEST(CommandQueueTest, AFullQueueRefusesAndInternalOnesAreTaken) {
  CommandQueue queue;
  int64_t done = 0;
  for (int64_t i = 0; i < CommandQueue::kCommandsMax; ++i) {
    ASSERT_TRUE(queue.TryPost([&] { ++done; }).ok());
  }
  const absl::Status full = queue.TryPost([] {});
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(full.message(), "the serving loop does not keep up");
  EXPECT_TRUE(RetryPushbackMs(full).has_value());
  queue.PostInternal([&] { ++done; });
  EXPECT_TRUE(queue.Run()) << "one is left";
  EXPECT_EQ(done, CommandQueue::kCommandsMax);
  EXPECT_FALSE(queue.Run());
  EXPECT_EQ(done, CommandQueue::kCommandsMax + 1);
}

TEST(CommandQueueTest, CommandsThatBringOthersEndARunAndLetTheLoopGoOn) {
  CommandQueue queue;
  int64_t done = 0;
  const std::function<void()> again = [&] {
    ++done;
    queue.PostInternal(again);
  };
  queue.PostInternal(again);
  EXPECT_TRUE(queue.Run());
  EXPECT_EQ(done, CommandQueue::kCommandsMax);
}

TEST(CommandQueueTest, AfterCloseEveryCallIsAnsweredAndNoOtherTaken) {
  CommandQueue queue;
  absl::Status answer;
  std::thread caller([&] { answer = queue.Call([] { return absl::NotFoundError("it"); }); });
  queue.WaitAndRun(/*timeout_us=*/60'000'000);
  caller.join();
  EXPECT_EQ(answer, absl::NotFoundError("it"));
  int64_t done = 0;
  for (int64_t i = 0; i < CommandQueue::kCommandsMax; ++i) {
    ASSERT_TRUE(queue.TryPost([&] { ++done; }).ok());
  }
  queue.PostInternal([&] { ++done; });
  queue.Close();
  EXPECT_EQ(queue.Post([] {}).message(), "the server is stopping");
  queue.Drain();
  EXPECT_EQ(done, CommandQueue::kCommandsMax + 1);
}

}  // namespace
}  // namespace alchemist
