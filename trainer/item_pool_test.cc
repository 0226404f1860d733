#include "trainer/item_pool.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr int64_t kLater = int64_t{1} << 40;  // When every item is due.

using ::testing::ElementsAre;

PooledItem Item(const std::string& id, int64_t tokens = 10) {
  PooledItem item;
  item.item.item_id = id;
  item.item.completion_id = "completion of " + id;
  item.item.prompt_tokens.resize(tokens - 4);
  item.item.response_tokens.resize(4);
  return item;
}

std::vector<std::string> Ids(const std::vector<PooledItem*>& batch) {
  std::vector<std::string> ids;
  for (const PooledItem* item : batch) ids.push_back(item->item.item_id);
  return ids;
}

class ItemPoolTest : public testing::Test {
 protected:
  bool Add(PooledItem item) {
    superseded_.clear();
    return pool_.Add(std::move(item), &superseded_);
  }

  ItemPool pool_;
  std::vector<PooledItem> superseded_;
};

TEST_F(ItemPoolTest, FirstPassesComeInOrderOfArrivalBeforeAnyLaterPass) {
  for (const char* id : {"c", "a", "b"}) ASSERT_TRUE(Add(Item(id)));
  const std::vector<PooledItem*> first = pool_.NextBatch({.items_max = 2}, kLater);
  EXPECT_THAT(Ids(first), ElementsAre("c", "a"));
  for (PooledItem* item : first) pool_.Passed(*item, 0);
  ASSERT_TRUE(Add(Item("d")));
  EXPECT_THAT(Ids(pool_.NextBatch({}, kLater)), ElementsAre("b", "d", "c", "a"));
}

TEST_F(ItemPoolTest, LaterPassesGoRound) {
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(Add(Item(id)));
  std::vector<std::string> order;
  for (int turn = 0; turn < 7; ++turn) {
    const std::vector<PooledItem*> batch = pool_.NextBatch({.items_max = 1}, kLater);
    order.push_back(Ids(batch)[0]);
    pool_.Passed(*batch[0], 0);
  }
  EXPECT_THAT(order, ElementsAre("a", "b", "c", "a", "b", "c", "a"));
  EXPECT_EQ(pool_.NextBatch({.items_max = 1}, kLater)[0]->passes, 2);
}

TEST_F(ItemPoolTest, AnItemThatComesWithPassesWaitsForTheFirstPassesOfOthers) {
  PooledItem resumed = Item("resumed");
  resumed.passes = 3;
  ASSERT_TRUE(Add(std::move(resumed)));
  ASSERT_TRUE(Add(Item("new")));
  EXPECT_THAT(Ids(pool_.NextBatch({}, kLater)), ElementsAre("new", "resumed"));
}

TEST_F(ItemPoolTest, ABatchKeepsBothLimitsButIsNeverEmpty) {
  ASSERT_TRUE(Add(Item("huge", 100)));
  ASSERT_TRUE(Add(Item("x", 30)));
  ASSERT_TRUE(Add(Item("y", 20)));
  ASSERT_TRUE(Add(Item("z", 1 + 4)));
  EXPECT_EQ(pool_.DueAt({}, kLater).tokens, 155);
  EXPECT_THAT(Ids(pool_.NextBatch({.tokens_max = 50}, kLater)), ElementsAre("huge"));
  pool_.Remove("huge");
  EXPECT_THAT(Ids(pool_.NextBatch({.tokens_max = 50}, kLater)), ElementsAre("x", "y"))
      << "exactly full; nobody is overtaken";
  EXPECT_THAT(Ids(pool_.NextBatch({.tokens_max = 49}, kLater)), ElementsAre("x"));
  EXPECT_THAT(Ids(pool_.NextBatch({.items_max = 2}, kLater)), ElementsAre("x", "y"));
  for (const char* id : {"x", "y", "z"}) pool_.Remove(id);
  EXPECT_TRUE(pool_.NextBatch({}, kLater).empty());
}

TEST_F(ItemPoolTest, AnItemThatMustBeAloneIsUntilItHasPassed) {
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(Add(Item(id)));
  for (const char* id : {"a", "b"}) pool_.items().at(id)->alone = true;
  const std::vector<PooledItem*> first = pool_.NextBatch({}, kLater);
  EXPECT_THAT(Ids(first), ElementsAre("a"));
  pool_.Passed(*first[0], 0);
  EXPECT_THAT(Ids(pool_.NextBatch({}, kLater)), ElementsAre("b"));
  pool_.Remove("b");
  EXPECT_THAT(Ids(pool_.NextBatch({}, kLater)), ElementsAre("c", "a"));
}

TEST_F(ItemPoolTest, AnItemIsTakenOnce) {
  ASSERT_TRUE(Add(Item("a", 10)));
  EXPECT_FALSE(Add(Item("a", 40)));
  EXPECT_EQ(pool_.size(), 1);
  EXPECT_EQ(pool_.NextBatch({}, kLater)[0]->item.prompt_rows(), 6) << "the first one stays";
}

TEST_F(ItemPoolTest, ACorrectionTakesTheRatingsPlace) {
  PooledItem rating = Item("rating");
  rating.item.completion_id = "same";
  rating.lease.emplace().lease_id = 7;
  PooledItem correction = Item("correction");
  correction.item.completion_id = "same";
  correction.item.is_correction = true;
  ASSERT_TRUE(Add(Item("other")));
  ASSERT_TRUE(Add(std::move(rating)));
  EXPECT_TRUE(superseded_.empty());
  ASSERT_TRUE(Add(std::move(correction)));
  ASSERT_EQ(superseded_.size(), 1u);
  EXPECT_EQ(superseded_[0].item.item_id, "rating");
  EXPECT_EQ(superseded_[0].lease->lease_id, 7u) << "so that it can be given back";
  EXPECT_THAT(Ids(pool_.NextBatch({}, kLater)), ElementsAre("other", "correction"));
}

TEST_F(ItemPoolTest, ALaterCorrectionOfThePromptTakesTheEarliersPlace) {
  for (const char* id : {"first", "same", "unlike", "other"}) {
    PooledItem correction = Item(id);
    correction.item.is_correction = true;
    correction.item.prompt_tokens[0] = id[0] == 'o' ? 1 : 2;
    correction.item.response_tokens[0] = id[0] == 'u' ? 1 : 2;
    ASSERT_TRUE(Add(std::move(correction)));
    EXPECT_EQ(superseded_.size(), id[0] == 'u' ? 2u : 0u) << id;
  }
  EXPECT_THAT(Ids(pool_.NextBatch({}, kLater)), ElementsAre("unlike", "other"));
}

TEST_F(ItemPoolTest, AnItemThatMadeAPassWaitsBeforeItsNext) {
  constexpr BatchLimits kLimits = {.pass_interval_us = 300};
  ASSERT_TRUE(Add(Item("a")));
  ASSERT_TRUE(Add(Item("b")));
  pool_.Passed(*pool_.NextBatch(kLimits, 1000)[0], 1000);
  EXPECT_THAT(Ids(pool_.NextBatch(kLimits, 1299)), ElementsAre("b"));
  EXPECT_EQ(pool_.DueAt(kLimits, 1299).items, 1);
  EXPECT_THAT(Ids(pool_.NextBatch(kLimits, 1300)), ElementsAre("b", "a"));
  EXPECT_EQ(pool_.DueAt(kLimits, 1300).items, 2);
}

}  // namespace
}  // namespace alchemist
