#include "server/fair_queue.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

// Pops all, as if each ran at once for `cost`.
std::vector<int> Order(FairQueue<int>& queue, const std::vector<std::string>& tenant_of,
                       int64_t cost) {
  std::vector<int> order;
  while (queue.Front() != nullptr) {
    const int value = queue.Pop();
    queue.Charge(tenant_of[value], cost);
    order.push_back(value);
  }
  return order;
}

TEST(FairQueueTest, OneTenantIsFirstComeFirstServedWithinAPriority) {
  FairQueue<int> queue;
  const std::vector<std::string> tenant_of(5, "a");
  queue.Push("a", 0, 0);
  queue.Push("a", 5, 1);
  queue.Push("a", 0, 2);
  queue.Push("a", -1, 3);
  queue.Push("a", 5, 4);
  EXPECT_EQ(queue.size(), 5);
  EXPECT_EQ(Order(queue, tenant_of, 1), (std::vector<int>{3, 0, 2, 1, 4}));
  EXPECT_EQ(queue.size(), 0);
}

TEST(FairQueueTest, TheTenantServedLeastIsNextWhateverItsPriority) {
  FairQueue<int> queue;
  const std::vector<std::string> tenant_of = {"a", "a", "a", "a", "b", "b"};
  for (int i = 0; i < 4; ++i) queue.Push("a", -100, i);
  for (int i = 4; i < 6; ++i) queue.Push("b", 100, i);
  EXPECT_EQ(Order(queue, tenant_of, 10), (std::vector<int>{0, 4, 1, 5, 2, 3}));
}

TEST(FairQueueTest, ServiceIsWhatIsCharged) {
  FairQueue<int> queue;
  for (int i = 0; i < 6; ++i) queue.Push(i < 3 ? "large" : "small", 0, i);
  std::vector<int> order;
  while (queue.Front() != nullptr) {
    order.push_back(queue.Pop());
    queue.Charge(order.back() < 3 ? "large" : "small", order.back() < 3 ? 100 : 1);
  }
  EXPECT_EQ(order, (std::vector<int>{0, 3, 4, 5, 1, 2})) << "a large request counts as many";
}

TEST(FairQueueTest, WhoComesBeginsWhereTheOthersAre) {
  FairQueue<int> queue;
  queue.Push("slow", 0, 0);
  queue.Pop();
  queue.Charge("slow", 10);  // It goes on running, and wants nothing more.
  for (int i = 1; i < 5; ++i) queue.Push("busy", 0, i);
  for (int i = 1; i < 3; ++i) {
    EXPECT_EQ(queue.Pop(), i);
    queue.Charge("busy", 1000);
  }
  queue.Push("absent", 0, 10);
  queue.Push("absent", 0, 11);
  EXPECT_EQ(queue.Pop(), 3) << "no credit from who is served slowly; both stand at 2000";
  queue.Charge("busy", 1000);
  EXPECT_EQ(queue.Pop(), 10);
  queue.Charge("absent", 1001);
  EXPECT_EQ(queue.Pop(), 4);
}

TEST(FairQueueTest, AmongEqualsTheOneThatCameFirstIsNext) {
  FairQueue<int> queue;
  queue.Push("b", 0, 0);
  queue.Push("a", 0, 1);
  queue.Push("c", 0, 2);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.Pop(), i);
}

TEST(FairQueueTest, ANewNameForEveryRequestIsNoAdvantage) {
  FairQueue<int> queue;
  queue.Push("honest", 0, 0);
  EXPECT_EQ(queue.Pop(), 0);
  queue.Charge("honest", 10);
  queue.Push("honest", 0, 1);
  for (int i = 2; i < 20; ++i) {
    queue.Push("name-" + std::to_string(i), 0, i);
    const int next = queue.Pop();
    if (next == 1) return;
    queue.Charge("name-" + std::to_string(next), 10);
  }
  FAIL() << "the honest one was overtaken by every new name";
}

TEST(FairQueueTest, NewNamesNeverOvertakeForEver) {
  FairQueue<int> queue;
  queue.Push("honest", 0, 0);
  queue.Push("honest", 0, 1);
  int next_name = 2;
  const auto push_name = [&] {
    queue.Push("name-" + std::to_string(next_name), 0, next_name);
    ++next_name;
  };
  push_name();
  push_name();
  EXPECT_EQ(queue.Pop(), 0);
  queue.Charge("honest", 100);
  queue.Done("honest");
  for (int i = 0; i < 40; ++i) {  // One new name waits always, and begins where that does.
    push_name();
    const int next = queue.Pop();
    if (next == 1) return;
    const std::string name = "name-" + std::to_string(next);
    for (int token = 0; token < 10; ++token) queue.Charge(name, 1);
    queue.Done(name);
  }
  FAIL() << "some name that was never served is always next";
}

TEST(FairQueueTest, WhoWasAheadIsStillAheadWhenItComesBack) {
  FairQueue<int> queue;
  queue.Push("a", 0, 2);
  queue.Push("b", 0, 0);
  queue.Push("b", 0, 1);
  EXPECT_EQ(queue.Pop(), 2);
  queue.Charge("a", 50);
  queue.Done("a");  // Idle, and 50 ahead.
  queue.Push("a", 0, 3);
  EXPECT_EQ(queue.Pop(), 0);
  queue.Charge("b", 10);
  EXPECT_EQ(queue.Pop(), 1) << "leaving the queue for a moment pays no debt";
}

TEST(FairQueueTest, NoMoreIdleTenantsAreRememberedThanThereIsRoomFor) {
  FairQueue<int> queue;
  queue.Push("runs", 0, 0);
  queue.Pop();
  for (int i = 0; i < 5'000; ++i) {
    const std::string tenant = std::to_string(i);
    queue.Push(tenant, 0, i);
    queue.Pop();
    queue.Charge(tenant, 1 + i % 7);
    queue.Done(tenant);
    ASSERT_LE(queue.tenants(), FairQueue<int>::kTenantsMax + 2);
  }
  queue.Done("runs");
  EXPECT_EQ(queue.tenants(), 0) << "nobody wants anything";
  queue.Push("a", 0, 1);
  queue.RemoveIf([](int) { return true; });
  EXPECT_EQ(queue.tenants(), 0);
}

TEST(FairQueueTest, AReturnedOneIsNextOfItsPriority) {
  FairQueue<int> queue;
  queue.Push("a", 0, 0);
  queue.Push("a", 0, 1);
  queue.Push("a", -1, 2);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 0);
  queue.Return("a", 0, 0);
  EXPECT_EQ(queue.size(), 2);
  queue.Push("a", -1, 3);
  EXPECT_EQ(queue.Pop(), 3);
  EXPECT_EQ(queue.Pop(), 0);
  EXPECT_EQ(queue.Pop(), 1);
}

TEST(FairQueueTest, WhatIsSplitOffIsNextAndNeverTakenOut) {
  FairQueue<int> queue;
  for (int i = 0; i < 2; ++i) queue.Push("a", 0, i);
  queue.Push("a", 0, 4);
  EXPECT_EQ(queue.Pop(), 0);
  queue.PushSplit("a", 0, 2);
  queue.PushSplit("a", 0, 3);
  EXPECT_EQ(queue.size(), 4);
  EXPECT_EQ(queue.TakeFromLongest("b"), 4);
  EXPECT_EQ(queue.TakeFromLongest("b"), std::nullopt) << "one that waits, and two split off";
  EXPECT_EQ(queue.Pop(), 3);
  EXPECT_EQ(queue.Pop(), 2);
}

TEST(FairQueueTest, AFullQueueTakesTheLastOfWhoHasMost) {
  FairQueue<int> queue;
  queue.Push("a", 0, 0);
  queue.Push("a", 0, 1);
  queue.Push("a", 3, 2);
  EXPECT_EQ(queue.TakeFromLongest("a"), std::nullopt) << "who has most makes no room for itself";
  EXPECT_EQ(queue.TakeFromLongest("b"), 2) << "the least urgent, and of those the last";
  queue.Push("b", 0, 3);
  EXPECT_EQ(queue.TakeFromLongest("b"), std::nullopt) << "2 and 1 are as near as can be";
  EXPECT_EQ(queue.TakeFromLongest("c"), 1);
  EXPECT_EQ(queue.size(), 2);
}

TEST(FairQueueTest, AReturnedOneIsNeverTakenOut) {
  FairQueue<int> queue;
  for (int i = 0; i < 3; ++i) queue.Push("a", 0, i);
  for (int i = 0; i < 3; ++i) queue.Pop();
  for (int i = 2; i >= 0; --i) queue.Return("a", 0, i);
  EXPECT_EQ(queue.TakeFromLongest("b"), std::nullopt);
  for (int i = 3; i < 5; ++i) queue.Push("c", 0, i);
  EXPECT_EQ(queue.TakeFromLongest("b"), 4) << "c has most that can be taken";
  for (int i = 5; i < 8; ++i) queue.Push("a", 0, i);
  EXPECT_EQ(queue.TakeFromLongest("b"), 7);
}

TEST(FairQueueTest, WhatIsRemovedWaitsNoMore) {
  FairQueue<int> queue;
  for (int i = 0; i < 6; ++i) queue.Push(i % 2 == 0 ? "a" : "b", i % 3, i);
  queue.RemoveIf([](int value) { return value >= 2; });
  EXPECT_EQ(queue.size(), 2);
  EXPECT_EQ(queue.Pop(), 0);
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Front(), nullptr);
}

}  // namespace
}  // namespace alchemist
