#include "base/bounded_queue.h"

#include <thread>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(BoundedQueueTest, RefusesWhenFullAndKeepsOrder) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));
  EXPECT_EQ(queue.TryPop(), 1);
  EXPECT_TRUE(queue.TryPush(4));
  EXPECT_EQ(queue.TryPop(), 2);
  EXPECT_EQ(queue.TryPop(), 4);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(BoundedQueueTest, CloseRefusesNewValuesAndDrainsOldOnes) {
  BoundedQueue<int> queue(4);
  EXPECT_TRUE(queue.TryPush(1));
  queue.Close();
  EXPECT_FALSE(queue.TryPush(2));
  EXPECT_EQ(queue.Pop(/*timeout_us=*/1'000'000), 1);
  EXPECT_EQ(queue.Pop(/*timeout_us=*/1'000'000), std::nullopt);
}

TEST(BoundedQueueTest, PushWaitsForRoom) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.TryPush(0));
  std::thread consumer([&] {
    for (int i = 0; i < 100; ++i) EXPECT_EQ(queue.Pop(10'000'000), i);
  });
  for (int i = 1; i < 100; ++i) EXPECT_TRUE(queue.Push(i, 10'000'000));
  consumer.join();
  EXPECT_FALSE(queue.Push(1, 0) && queue.Push(2, 0)) << "a full queue times out";
}

}  // namespace
}  // namespace alchemist
