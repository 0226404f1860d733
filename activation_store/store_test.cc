#include "activation_store/store.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr int64_t kLayers = 2;
constexpr uint64_t kCanary = 0x1234567890abcdef;

// Two layers, x for all rows and gate for head rows in the last; a K/V page is one and a half
// pages.
StoreOptions SmallOptions(int64_t record_pages) {
  StoreOptions options;
  options.page_bytes = 4096;
  options.layers = kLayers;
  options.block_layers = kLayers + 1;
  options.kv_page_bytes = 6144;
  options.serving_kv_bytes = 8 * 4096;
  options.arena_bytes = options.serving_kv_bytes + (1 + record_pages) * 4096;
  options.block_tensors = {{1, 0, 512, false}, {1, 5, 1024, true}, {2, 0, 512, true}};
  return options;
}

std::unique_ptr<ActivationStore> MakeStore(int64_t record_pages) {
  auto store = ActivationStore::Create(SmallOptions(record_pages), kCanary);
  CHECK(store.ok()) << store.status();
  return *std::move(store);
}

// A sealed, unpinned record of one run.
uint64_t AddRecord(ActivationStore& store, int64_t rows) {
  const uint64_t id = store.Begin({}, {}, 0);
  CHECK(store.AppendKvPages(id, rows));
  CHECK(store.AppendBlock({{id, 0, rows, 1}}) != nullptr);
  store.Seal(id, rows, {});
  store.Unpin(id, 0);
  return id;
}

TEST(StoreTest, DescribesWhereTheRowsOfEachRecordLie) {
  auto store = MakeStore(64);
  const uint64_t first = store->Begin({}, {}, 0);
  const uint64_t second = store->Begin({}, {}, 0);
  ASSERT_TRUE(store->AppendKvPages(first, 5));
  ASSERT_TRUE(store->AppendKvPages(second, 7));
  const Block* block = store->AppendBlock({{first, 0, 5, 1}, {second, 0, 7, 2}});
  ASSERT_NE(block, nullptr);
  store->Seal(first, 5, {});
  store->Seal(second, 7, {});
  auto descriptor = store->Lease(second, 1);
  ASSERT_TRUE(descriptor.ok()) << descriptor.status();
  ASSERT_EQ(descriptor->runs.size(), 1u);
  const RunDescriptor& run = descriptor->runs[0];
  ASSERT_EQ(run.layers.size(), 3u);
  EXPECT_TRUE(run.layers[0].empty());
  ASSERT_EQ(run.layers[1].size(), 2u);
  const TensorSlot& x = run.layers[1][0];
  EXPECT_EQ(x.offset, static_cast<uint64_t>(*block->Offset(0)) + 5 * 512) << "after first's rows";
  EXPECT_EQ(x.bytes, 7u * 512);
  const TensorSlot& gate = run.layers[1][1];
  EXPECT_EQ(gate.offset, static_cast<uint64_t>(*block->Offset(1)) + 1024) << "one head row before";
  EXPECT_EQ(gate.rows, 2);
  EXPECT_EQ(gate.first_row, 5) << "head rows are the last of the run";
  EXPECT_EQ(descriptor->kv_pages.size(), 2u);
  EXPECT_EQ(descriptor->kv_pages[1].layer, 1);
  EXPECT_EQ(descriptor->kv_pages[1].rows, 7);
  store->CheckInvariants();
}

TEST(StoreTest, AFullStoreEvictsTheOldestUnleasedRecord) {
  auto store = MakeStore(3 * 7);  // A record of 5 rows takes 4 K/V and 3 block pages.
  const uint64_t oldest = AddRecord(*store, 5);
  const uint64_t middle = AddRecord(*store, 5);
  const uint64_t newest = AddRecord(*store, 5);
  ASSERT_TRUE(store->Lease(oldest, 1).ok());
  const uint64_t extra = AddRecord(*store, 5);
  EXPECT_TRUE(store->Holds(oldest)) << "leased";
  EXPECT_FALSE(store->Holds(middle));
  EXPECT_TRUE(store->Holds(newest));
  EXPECT_TRUE(store->Holds(extra));
  store->CheckInvariants();
}

TEST(StoreTest, NothingIsTakenWhenEveryRecordIsLeased) {
  auto store = MakeStore(7);
  const uint64_t leased = AddRecord(*store, 5);
  auto descriptor = store->Lease(leased, 1);
  ASSERT_TRUE(descriptor.ok());
  const uint64_t record = store->Begin({}, {}, 0);
  EXPECT_FALSE(store->AppendKvPages(record, 5));
  EXPECT_EQ(store->AppendBlock({{record, 0, 5, 1}}), nullptr);
  store->Abort(record);
  store->CheckInvariants();
  EXPECT_TRUE(store->Release(1, descriptor->lease_id, 0, kLayers + 1));
  EXPECT_TRUE(store->Holds(AddRecord(*store, 5))) << "the released record made room";
}

TEST(StoreTest, NothingIsEvictedForWhatCannotFit) {
  auto store = MakeStore(3 * 7);
  ASSERT_TRUE(store->Lease(AddRecord(*store, 5), 1).ok());
  const uint64_t middle = AddRecord(*store, 5);
  const uint64_t newest = AddRecord(*store, 5);
  const uint64_t record = store->Begin({}, {}, 0);
  // Of 21 pages 14 can be had. 8 rows of x fill a page; the head rows of two tensors take one each.
  EXPECT_EQ(store->AppendBlock({{record, 0, 13 * 8, 1}}), nullptr) << "15 pages";
  EXPECT_EQ(store->ledger().evictions, 0);
  EXPECT_TRUE(store->Holds(middle) && store->Holds(newest));
  EXPECT_NE(store->AppendBlock({{record, 0, 12 * 8, 1}}), nullptr) << "14 pages";
  EXPECT_EQ(store->ledger().evictions, 2);
  EXPECT_FALSE(store->AppendKvPages(record, 5));
  store->Abort(record);
  store->CheckInvariants();
}

TEST(StoreTest, WhetherAWholeRecordCouldFitIsKnownBeforeAnythingIsEvicted) {
  auto store = MakeStore(40);
  const uint64_t leased = AddRecord(*store, 5);
  ASSERT_TRUE(store->Lease(leased, 1).ok());
  AddRecord(*store, 5);
  const uint64_t record = store->Begin({}, {}, 0);
  // 33 pages can be had. A K/V page of both layers is four, for 32 rows, which are four of x; the
  // head rows take two.
  EXPECT_TRUE(store->CouldRecord(record, 3 * 32)) << "12 + 12 + 2";
  EXPECT_FALSE(store->CouldRecord(record, 4 * 32)) << "16 + 16 + 2";
  EXPECT_EQ(store->ledger().evictions, 0);
  store->Abort(record);
}

TEST(StoreTest, ARecordGivesItsActivationsBackAndKeepsItsKv) {
  auto store = MakeStore(40);
  const uint64_t first = store->Begin({}, {}, 0);
  const uint64_t second = store->Begin({}, {}, 0);
  ASSERT_TRUE(store->AppendKvPages(first, 64));
  ASSERT_TRUE(store->AppendKvPages(second, 5));
  ASSERT_NE(store->AppendBlock({{first, 0, 32, 0}, {second, 0, 5, 1}}), nullptr);
  store->Seal(second, 5, {});
  const auto kv_bytes = store->ledger().record_kv_bytes;
  store->DropRuns(first);
  store->CheckInvariants();
  EXPECT_EQ(store->ledger().record_kv_bytes, kv_bytes);
  EXPECT_EQ(store->KvOf(first, 64).size(), 2u);
  EXPECT_EQ(store->Lease(second, 1)->runs.size(), 1u) << "another's rows in the same block";
  store->Abort(first);
  store->CheckInvariants();
}

TEST(StoreTest, ALeaseEndsWithItsLastLayerOrItsSession) {
  auto store = MakeStore(64);
  const uint64_t record = AddRecord(*store, 5);
  auto first = store->Lease(record, 1);
  auto second = store->Lease(record, 1);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->lease_id, second->lease_id);
  EXPECT_FALSE(store->Release(2, first->lease_id, 0, 3)) << "another session's epoch";
  EXPECT_TRUE(store->Release(1, first->lease_id, 2, 1));
  EXPECT_TRUE(store->Release(1, first->lease_id, 0, 1));
  EXPECT_EQ(store->ledger().leases, 2);
  EXPECT_TRUE(store->Release(1, first->lease_id, 1, 1000)) << "a range is cut to the lease's";
  EXPECT_FALSE(store->Release(1, first->lease_id, 0, 3)) << "released twice";
  EXPECT_EQ(store->ledger().leases, 1);
  store->EndSession(1);
  EXPECT_EQ(store->ledger().leases, 0);
  EXPECT_TRUE(store->Holds(record));
  store->CheckInvariants();
}

TEST(StoreTest, TheLedgerSaysWhatEachStateTakes) {
  auto store = MakeStore(64);
  const auto bytes_of = [&] {
    const auto ledger = store->ledger();
    store->CheckInvariants();  // They are all of the records' bytes.
    return std::vector<bool>{ledger.sealed.bytes > 0, ledger.filling.bytes > 0,
                             ledger.leased.bytes > 0};
  };
  const uint64_t first = store->Begin({}, {}, 0);
  const uint64_t second = store->Begin({}, {}, 0);
  ASSERT_TRUE(store->AppendKvPages(first, 5) && store->AppendKvPages(second, 5));
  ASSERT_NE(store->AppendBlock({{first, 0, 5, 1}, {second, 0, 5, 1}}), nullptr);
  EXPECT_EQ(bytes_of(), (std::vector<bool>{false, true, false}));
  EXPECT_EQ(store->ledger().filling.records, 2);
  store->Seal(first, 5, {});
  const int64_t block_bytes = store->ledger().block_bytes;
  EXPECT_EQ(bytes_of(), (std::vector<bool>{true, true, false}));
  EXPECT_GT(store->ledger().filling.bytes, block_bytes) << "the block they share is not sealed yet";
  store->Seal(second, 5, {});
  EXPECT_EQ(bytes_of(), (std::vector<bool>{true, false, false}));
  ASSERT_TRUE(store->Lease(first, 1).ok());
  EXPECT_EQ(bytes_of(), (std::vector<bool>{true, false, true}));
  EXPECT_GT(store->ledger().leased.bytes, block_bytes) << "the block they share is leased";
  EXPECT_EQ(store->ledger().leased.records, 1);
  EXPECT_EQ(store->ledger().sealed.records, 1);
}

TEST(StoreTest, ALookPinsWhatItSeesAndIsNoUse) {
  auto store = MakeStore(64);
  const uint64_t first = AddRecord(*store, 5);
  const uint64_t second = AddRecord(*store, 5);
  const auto look = store->BeginLook(first);
  ASSERT_TRUE(look.ok()) << look.status();
  EXPECT_EQ(look->pins, 0) << "its own is not counted";
  EXPECT_EQ(look->leases, 0);
  const auto lease = store->Lease(first, 1);
  ASSERT_TRUE(lease.ok());
  ASSERT_EQ(look->descriptor.runs.size(), lease->runs.size());
  EXPECT_EQ(look->descriptor.runs[0].layers[1][0].offset, lease->runs[0].layers[1][0].offset);
  EXPECT_EQ(look->descriptor.kv_pages.size(), lease->kv_pages.size());
  EXPECT_EQ(look->descriptor.tokens, 5);
  store->EndSession(1);

  EXPECT_EQ(store->EvictOlderThan(1), 1) << "the second goes, the first is looked at";
  EXPECT_FALSE(store->Holds(second));
  ASSERT_TRUE(store->Holds(first));
  store->EndLook(first);
  store->CheckInvariants();
  EXPECT_EQ(store->EvictOlderThan(1), 1) << "it is as old as before the look";
}

TEST(StoreTest, ALookSaysWhyThereIsNothingToSee) {
  auto store = MakeStore(64);
  EXPECT_EQ(store->BeginLook(0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->BeginLook(1).status().message(), "there was no record 1 yet");
  const uint64_t id = store->Begin({}, {}, 0);
  EXPECT_EQ(store->BeginLook(id).status().code(), absl::StatusCode::kFailedPrecondition);
  store->Abort(id);
  EXPECT_EQ(store->BeginLook(id).status().message(), "record 1 is gone");
}

TEST(StoreTest, GenerationsGrowBeforeAPageGetsNewContent) {
  auto store = MakeStore(7);
  const auto* table = reinterpret_cast<const uint64_t*>(store->generations().data());
  const uint64_t record = AddRecord(*store, 5);
  auto before = store->Lease(record, 1);
  ASSERT_TRUE(before.ok());
  const TensorSlot slot = before->runs[0].layers[1][0];
  EXPECT_EQ(table[slot.offset / 4096], slot.generation);
  store->EndSession(1);
  AddRecord(*store, 5);  // Takes the same pages.
  EXPECT_GT(table[slot.offset / 4096], slot.generation);
}

TEST(StoreTest, OptionsThatCannotWorkAreRefused) {
  StoreOptions options = SmallOptions(8);
  options.serving_kv_bytes = 4096;
  EXPECT_EQ(ActivationStore::Create(options, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  options = SmallOptions(8);
  options.arena_bytes = options.serving_kv_bytes;
  EXPECT_EQ(ActivationStore::Create(options, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
}

std::vector<int32_t> TokensOf(int32_t family, int64_t count) {
  return std::vector<int32_t>(count, family);
}

// A sealed, unpinned record of `tokens` tokens of a family, in runs of at most 50 rows. Nullopt
// without room.
std::optional<uint64_t> AddShared(ActivationStore& store, int32_t family, int64_t tokens,
                                  int64_t now_us = 0) {
  const std::vector<std::string> hashes = HashBlocks({}, TokensOf(family, tokens));
  const Prefix prefix = store.FindPrefix(
      absl::MakeConstSpan(hashes).first(static_cast<size_t>((tokens - 1) / kHashBlockTokens)));
  const uint64_t id = store.Begin({}, prefix, now_us);
  bool room = store.AppendKvPages(id, tokens);
  for (int64_t first = prefix.tokens; room && first < tokens; first += 50) {
    const int64_t rows = std::min<int64_t>(50, tokens - first);
    room = store.AppendBlock({{id, first, rows, first + rows == tokens ? 1 : 0}}) != nullptr;
  }
  if (!room) {
    store.Abort(id);
    return std::nullopt;
  }
  store.Seal(id, tokens, hashes);
  store.Unpin(id, now_us);
  return id;
}

// The record of an answer to AddShared's prompt `prompt`, of `rows` rows, in blocks of 32.
uint64_t AddResponse(ActivationStore& store, uint64_t prompt, int64_t prompt_tokens, int32_t family,
                     int64_t rows, int64_t now_us = 0) {
  const uint64_t id = store.BeginResponse(prompt, now_us);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t position = prompt_tokens + row;
    if (row == 0 || position % kKvPageTokens == 0) CHECK(store.AppendKvPages(id, position + 1));
    if (row % 32 == 0) CHECK(store.AppendBlock({{id, position, 32, 32}}) != nullptr);
  }
  store.Seal(id, prompt_tokens + rows, HashBlocks({}, TokensOf(family, prompt_tokens + rows)));
  store.Unpin(id, now_us);
  return id;
}

TEST(StoreTest, ARecordGoesOnFromTheLongestPrefixThatIsThere) {
  auto store = MakeStore(400);
  const uint64_t root = *AddShared(*store, 1, 150);
  const int64_t root_bytes = store->ledger().record_kv_bytes;
  const uint64_t child = *AddShared(*store, 1, 250);
  const uint64_t grandchild = *AddShared(*store, 1, 200);
  const uint64_t stranger = *AddShared(*store, 2, 150);
  const auto parent_of = [&](uint64_t id) {
    const auto lease = store->Lease(id, 1);
    return std::pair(lease->parent_record, lease->parent_tokens);
  };
  EXPECT_EQ(parent_of(root), std::pair(uint64_t{0}, int64_t{0}));
  EXPECT_EQ(parent_of(child), std::pair(root, int64_t{128}));
  EXPECT_EQ(parent_of(grandchild), std::pair(child, int64_t{192}));
  EXPECT_EQ(parent_of(stranger), std::pair(uint64_t{0}, int64_t{0}));
  // 5 pages of K/V for 150 tokens; 4 for the child's 122, 1 for the grandchild's 8, 5.
  EXPECT_EQ(store->ledger().record_kv_bytes, root_bytes / 5 * (5 + 4 + 1 + 5));
  store->CheckInvariants();
}

TEST(StoreTest, ALeaseDescribesTheWholeChainWithoutTheParentsHeadRows) {
  auto store = MakeStore(400);
  AddShared(*store, 1, 150);  // Runs of 50, 50, 50.
  const uint64_t child = *AddShared(*store, 1, 200);
  const auto lease = store->Lease(child, 1);
  ASSERT_TRUE(lease.ok()) << lease.status();
  std::vector<std::pair<int64_t, int64_t>> runs;
  for (const RunDescriptor& run : lease->runs) {
    runs.push_back({run.first_position, run.rows});
    EXPECT_EQ(run.layers[1][0].rows, run.rows);
    EXPECT_EQ(run.layers[1][0].bytes, static_cast<uint64_t>(run.rows) * 512);
    const bool own_last = run.first_position + run.rows == 200;
    EXPECT_EQ(run.layers[2].size(), own_last ? 1u : 0u) << "head rows at " << run.first_position;
  }
  using Runs = std::vector<std::pair<int64_t, int64_t>>;
  EXPECT_EQ(runs, (Runs{{0, 50}, {50, 50}, {100, 28}, {128, 50}, {178, 22}}));
  EXPECT_EQ(lease->kv_pages.size(), 7u * kLayers);
  EXPECT_EQ(lease->kv_pages[6].rows, 8);
  const auto of_three = store->Lease(*AddShared(*store, 1, 260), 1);
  ASSERT_EQ(of_three->runs.size(), 7u);
  EXPECT_EQ(of_three->runs[0].first_position, 0);
  EXPECT_EQ(of_three->runs[4].rows, 14) << "178 to 192 of the second";
  EXPECT_EQ(of_three->kv_pages.size(), 9u * kLayers);
}

TEST(StoreTest, WhatOthersGoOnFromStaysAndGoesAfterThem) {
  auto store = MakeStore(400);
  const uint64_t root = *AddShared(*store, 1, 150);
  const uint64_t child = *AddShared(*store, 1, 250);
  ASSERT_TRUE(store->Lease(child, 1).ok());
  EXPECT_EQ(store->EvictOlderThan(INT64_MAX), 0) << "the leased child holds its parent";
  store->EndSession(1);
  store->Pin(root, 0);  // A request without a record of its own reads it.
  EXPECT_EQ(store->EvictOlderThan(INT64_MAX), 1);
  EXPECT_TRUE(store->Holds(root));
  store->Unpin(root, 0);
  EXPECT_EQ(store->EvictOlderThan(INT64_MAX), 1);
  EXPECT_EQ(store->ledger().hash_blocks, 0);
  store->CheckInvariants();
}

TEST(StoreTest, WhatALeasedChildHoldsIsNotCountedAsRoom) {
  // The root takes 20 + 23 pages, its child 16 + 19, the stranger 12 + 11; 19 are free.
  auto store = MakeStore(120);
  AddShared(*store, 1, 150);
  ASSERT_TRUE(store->Lease(*AddShared(*store, 1, 250), 1).ok());
  const uint64_t stranger = *AddShared(*store, 2, 66);
  const uint64_t record = store->Begin({}, {}, 0);
  EXPECT_FALSE(store->AppendKvPages(record, 11 * kKvPageTokens + 1)) << "48 pages";
  EXPECT_TRUE(store->Holds(stranger)) << "nothing is evicted for what cannot fit";
  EXPECT_TRUE(store->AppendKvPages(record, 10 * kKvPageTokens)) << "40 pages";
  EXPECT_FALSE(store->Holds(stranger));
  store->Abort(record);
  store->CheckInvariants();
}

TEST(StoreTest, AWholeTreeMakesRoomWhenItMust) {
  // The root takes 20 + 23 pages, its child with 122 more rows 16 + 19, the stranger 36 + 41.
  auto store = MakeStore(100);
  ASSERT_TRUE(AddShared(*store, 1, 150).has_value());
  ASSERT_TRUE(AddShared(*store, 1, 250).has_value());
  EXPECT_TRUE(AddShared(*store, 2, 280).has_value()) << "leaf first, then its parent";
  EXPECT_EQ(store->ledger().evictions, 2);
  EXPECT_EQ(store->ledger().records, 1);
  store->CheckInvariants();
}

TEST(StoreTest, ARecordIsAsOldAsTheEndOfItsRequest) {
  auto store = MakeStore(64);
  const uint64_t record = store->Begin({}, {}, 100);
  ASSERT_TRUE(store->AppendKvPages(record, 5));
  ASSERT_NE(store->AppendBlock({{record, 0, 5, 1}}), nullptr);
  store->Seal(record, 5, {});
  store->Unpin(record, 700);  // It decoded for long.
  EXPECT_EQ(store->EvictOlderThan(600), 0) << "its feedback is yet to come";
  EXPECT_EQ(store->EvictOlderThan(701), 1);
}

TEST(StoreTest, ATrainedAnswersPromptIsTrained) {
  auto store = MakeStore(4 * 40);
  const uint64_t prompt = *AddShared(*store, 1, 66, 300);
  const uint64_t answer = AddResponse(*store, prompt, 66, 1, 5, 300);
  const uint64_t older = *AddShared(*store, 2, 66, 200);
  const auto lease = store->Lease(answer, 1);
  store->Release(1, lease->lease_id, 0, kLayers + 1);
  int32_t family = 3;
  while (store->Holds(prompt) && store->Holds(older)) {
    ASSERT_TRUE(AddShared(*store, family++, 66, 510).has_value());
  }
  EXPECT_TRUE(store->Holds(older)) << "310 us, but not trained yet; the prompt counts for 420";
}

TEST(StoreTest, WhatServesAgainIsKeptAndWhatWasTrainedGoesFirst) {
  // Each takes 12 + 11 pages.
  auto store = MakeStore(4 * 25);
  const uint64_t old_but_used = *AddShared(*store, 1, 66, 100);
  const uint64_t old = *AddShared(*store, 2, 66, 200);
  const uint64_t trained = *AddShared(*store, 3, 66, 300);
  const uint64_t fresh = *AddShared(*store, 4, 66, 400);
  store->Pin(old_but_used, 450);
  store->Unpin(old_but_used, 500);
  const auto lease = store->Lease(trained, 1);
  store->Release(1, lease->lease_id, 0, kLayers + 1);
  ASSERT_TRUE(AddShared(*store, 5, 66, 510).has_value());
  EXPECT_FALSE(store->Holds(trained)) << "210 us old, but only half as useful as one of 310";
  ASSERT_TRUE(AddShared(*store, 6, 66, 520).has_value());
  EXPECT_FALSE(store->Holds(old));
  EXPECT_TRUE(store->Holds(old_but_used) && store->Holds(fresh));
}

TEST(StoreTest, WhatServesAPrefixServesThoseItGoesOnFrom) {
  // The root takes 23 pages, its child 12 + 11 + 2, the stranger and the others 23.
  auto store = MakeStore(80);
  const uint64_t root = *AddShared(*store, 1, 66, 100);
  const uint64_t child = *AddShared(*store, 1, 130, 200);
  const uint64_t stranger = *AddShared(*store, 2, 66, 400);
  store->Pin(child, 450);
  store->Unpin(child, 500);
  ASSERT_TRUE(store->Lease(stranger, 1).ok());
  ASSERT_TRUE(AddShared(*store, 3, 66, 510).has_value());
  EXPECT_FALSE(store->Holds(child)) << "the only leaf that nobody holds";
  store->EndSession(1);
  ASSERT_TRUE(AddShared(*store, 4, 66, 520).has_value());
  EXPECT_TRUE(store->Holds(root)) << "it was used at 500, through its child";
  EXPECT_FALSE(store->Holds(stranger));
}

TEST(StoreTest, AnAnswersRecordGoesOnFromItsWholePrompt) {
  auto store = MakeStore(400);
  const uint64_t prompt = *AddShared(*store, 1, 70);
  const uint64_t answer = AddResponse(*store, prompt, 70, 1, 41);  // Up to token 111.
  const auto lease = store->Lease(answer, 1);
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(lease->tokens, 111);
  std::vector<std::pair<int64_t, int64_t>> runs, head_rows;
  for (const RunDescriptor& run : lease->runs) {
    runs.push_back({run.first_position, run.rows});
    const bool has_heads = !run.layers[2].empty();
    head_rows.push_back(
        {has_heads ? run.layers[2][0].first_row : 0, has_heads ? run.layers[2][0].rows : 0});
  }
  using Pairs = std::vector<std::pair<int64_t, int64_t>>;
  EXPECT_EQ(runs, (Pairs{{0, 50}, {50, 20}, {70, 32}, {102, 9}}));
  EXPECT_EQ(head_rows, (Pairs{{0, 0}, {19, 1}, {0, 32}, {0, 9}})) << "the prompt's last, and all";
  // The third page, which holds the end of the prompt, is the answer's own.
  ASSERT_EQ(lease->kv_pages.size(), 4u * kLayers);
  const auto of_prompt = store->Lease(prompt, 1);
  EXPECT_EQ(lease->kv_pages[1].offset, of_prompt->kv_pages[1].offset);
  EXPECT_NE(lease->kv_pages[2].offset, of_prompt->kv_pages[2].offset);
  EXPECT_EQ(lease->kv_pages[3].rows, 111 - 96);
  store->EndSession(1);
  EXPECT_EQ(store->EvictOlderThan(INT64_MAX), 2) << "first the answer, then its prompt";
  store->CheckInvariants();
}

TEST(StoreTest, APromptGoesOnFromAnEarlierAnswer) {
  auto store = MakeStore(400);
  const uint64_t prompt = *AddShared(*store, 1, 70);
  const uint64_t answer = AddResponse(*store, prompt, 70, 1, 61);  // Up to token 131.
  const uint64_t next = *AddShared(*store, 1, 150);
  const auto lease = store->Lease(next, 1);
  EXPECT_EQ(lease->parent_record, answer);
  EXPECT_EQ(lease->parent_tokens, 128);
  std::vector<std::pair<int64_t, int64_t>> runs;
  for (const RunDescriptor& run : lease->runs) {
    runs.push_back({run.first_position, run.rows});
    EXPECT_EQ(run.layers[2].size(), run.first_position == 128 ? 1u : 0u) << run.first_position;
  }
  using Pairs = std::vector<std::pair<int64_t, int64_t>>;
  EXPECT_EQ(runs, (Pairs{{0, 50}, {50, 20}, {70, 32}, {102, 26}, {128, 22}}));
  store->CheckInvariants();
}

// Random requests, leases and releases: I5 and the books hold after every call, and at the end
// every page is free again.
TEST(StoreTest, NoPageIsLostOrOwnedTwiceOverRandomSteps) {
  auto store = MakeStore(160);
  Random random(7);
  std::vector<uint64_t> sealed, leases;
  for (int step = 0; step < 20'000; ++step) {
    switch (random.Below(7)) {
      case 0:
      case 1: {  // A step that records one or two requests.
        const int64_t rows = 1 + random.Below(32);
        std::vector<BlockRun> runs;
        bool room = true;
        for (int64_t i = 0; i <= random.Below(2); ++i) {
          const uint64_t id = store->Begin({}, {}, step);
          runs.push_back({id, 0, rows, 1});
          room = room && store->AppendKvPages(id, rows);
        }
        room = room && store->AppendBlock(runs) != nullptr;
        for (const BlockRun& run : runs) {
          if (room && random.Below(4) != 0) {
            store->Seal(run.record_id, rows, {});
            store->Unpin(run.record_id, step);
            sealed.push_back(run.record_id);
          } else {
            store->Abort(run.record_id);
          }
        }
        break;
      }
      case 6: {  // One that may go on from another.
        const auto id =
            AddShared(*store, static_cast<int32_t>(random.Below(3)), 1 + random.Below(260), step);
        if (id.has_value()) sealed.push_back(*id);
        break;
      }
      case 2:
        if (!sealed.empty()) {
          auto lease = store->Lease(sealed[random.Below(sealed.size())], 1 + random.Below(2));
          if (lease.ok()) leases.push_back(lease->lease_id);
        }
        break;
      case 3:
      case 4:
        if (!leases.empty()) {
          store->Release(1 + random.Below(2), leases[random.Below(leases.size())],
                         random.Below(4) - 1, random.Below(4));
        }
        break;
      default:
        if (random.Below(50) == 0) store->EndSession(1 + random.Below(2));
        if (random.Below(50) == 0) store->EvictOlderThan(step - 500);
    }
    store->CheckInvariants();
  }
  store->EndSession(1);
  store->EndSession(2);
  store->EvictOlderThan(1'000'000);
  const ActivationStore::Ledger ledger = store->ledger();
  EXPECT_EQ(ledger.records, 0);
  EXPECT_EQ(ledger.block_bytes + ledger.record_kv_bytes, 0);
  EXPECT_EQ(ledger.hash_blocks, 0);
  EXPECT_GT(ledger.evictions, 100) << "the test never met a full store";
}

}  // namespace
}  // namespace alchemist
