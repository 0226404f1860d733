#include "server/sequence_kv.h"

#include <memory>
#include <string>

#include "base/logging.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr KvGeometry kGeometry = {.layers = 2, .kv_width = 8, .dtype = DType::kF32};
constexpr int64_t kPageBytes = 2 * kKvPageTokens * 8 * 4;
constexpr int64_t kServingPages = 10;

class SequenceKvTest : public testing::Test {
 protected:
  SequenceKvTest() {
    StoreOptions options;
    options.page_bytes = kPageBytes;
    options.layers = kGeometry.layers;
    options.block_layers = kGeometry.layers + 1;
    options.kv_page_bytes = kPageBytes;
    options.serving_kv_bytes = kServingPages * kPageBytes;
    options.arena_bytes = 64 * kPageBytes;
    options.block_tensors = {{0, 0, 32, false}};
    auto store = ActivationStore::Create(options, 1);
    CHECK(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  // A record with K/V pages for `tokens` positions.
  uint64_t BeginRecord(int64_t tokens) {
    const uint64_t id = store_->Begin({}, {}, 0);
    CHECK(store_->AppendKvPages(id, tokens));
    return id;
  }
  // A different number in every element of the rows [first, first + rows).
  static void Write(const SequenceKv& kv, int64_t first, int64_t rows, float salt) {
    const auto layers = kv.Rows(first, rows);
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      for (const KvRows& run : layers[layer]) {
        for (int64_t row = 0; row < run.k.rows; ++row) {
          for (int64_t i = 0; i < kGeometry.kv_width; ++i) {
            const float value = Value(layer, run.first_position + row, i, salt);
            run.k.Row<float>(row)[i] = value;
            run.v.Row<float>(row)[i] = -value;
          }
        }
      }
    }
  }
  static float Value(size_t layer, int64_t position, int64_t i, float salt) {
    return salt + static_cast<float>(layer) * 10'000 + static_cast<float>(position * 10 + i);
  }
  // Reads through runs(), as attention does.
  static void ExpectRows(const SequenceKv& kv, int64_t first, int64_t rows, float salt) {
    for (size_t layer = 0; layer < kv.runs().size(); ++layer) {
      for (int64_t position = first; position < first + rows; ++position) {
        const KvRun& run = kv.runs()[layer][position / kKvPageTokens];
        ASSERT_EQ(run.first_position, position / kKvPageTokens * kKvPageTokens);
        for (int64_t i = 0; i < kGeometry.kv_width; ++i) {
          const float value = Value(layer, position, i, salt);
          ASSERT_EQ(run.k.Row<float>(position % kKvPageTokens)[i], value) << position;
          ASSERT_EQ(run.v.Row<float>(position % kKvPageTokens)[i], -value) << position;
        }
      }
    }
  }
  // All bytes of a record's K/V, rows that were never written included.
  std::string RecordBytes(uint64_t id, int64_t tokens) const {
    std::string bytes;
    for (int64_t layer = 0; layer < kGeometry.layers; ++layer) {
      for (int64_t first = 0; first < tokens; first += kKvPageTokens) {
        const auto pages = store_->KvOf(id, tokens);
        const std::byte* page =
            store_->data() + (*pages[first / kKvPageTokens].layers)[layer].offset;
        bytes.append(reinterpret_cast<const char*>(page), kPageBytes);
      }
    }
    return bytes;
  }
  int64_t PagesUsed() const { return store_->ledger().serving_kv_bytes_used / kPageBytes; }

  std::unique_ptr<ActivationStore> store_;
};

TEST_F(SequenceKvTest, WithoutARecordAllPagesAreServings) {
  {
    SequenceKv kv(kGeometry, store_.get());
    ASSERT_TRUE(kv.Extend(65));
    EXPECT_EQ(PagesUsed(), 3 * kGeometry.layers);
    Write(kv, 0, 33, 0.5f);
    Write(kv, 33, 32, 0.5f);
    ExpectRows(kv, 0, 65, 0.5f);
  }
  EXPECT_EQ(PagesUsed(), 0);
}

TEST_F(SequenceKvTest, RowsAreCutAtPages) {
  SequenceKv kv(kGeometry, store_.get());
  ASSERT_TRUE(kv.Extend(96));
  const auto rows = kv.Rows(30, 40);
  ASSERT_EQ(rows.size(), 2u);
  ASSERT_EQ(rows[1].size(), 3u);
  EXPECT_EQ(rows[1][0].first_position, 30);
  EXPECT_EQ(rows[1][0].k.rows, 2);
  EXPECT_EQ(rows[1][1].k.rows, 32);
  EXPECT_EQ(rows[1][2].first_position, 64);
  EXPECT_EQ(rows[1][2].v.rows, 6);
}

TEST_F(SequenceKvTest, DecodingNeverWritesIntoTheRecord) {
  for (const int64_t prompt : {1, 31, 32, 33, 64, 65}) {
    const uint64_t id = BeginRecord(prompt);
    {
      SequenceKv kv(kGeometry, store_.get());
      kv.UseRecord(id, prompt);
      Write(kv, 0, prompt, 0.25f);
      kv.SealRecord();
      store_->Seal(id, prompt, HashBlocks({}, std::vector<int32_t>(prompt)));
      const std::string sealed = RecordBytes(id, prompt);
      for (int64_t position = prompt; position < prompt + 40; ++position) {
        ASSERT_TRUE(kv.Extend(position + 1));
        Write(kv, position, 1, 0.25f);
      }
      EXPECT_TRUE(RecordBytes(id, prompt) == sealed) << "prompt of " << prompt;
      ExpectRows(kv, 0, prompt + 40, 0.25f);
      // After a preemption the record's rows are there, and the others can be written anew.
      kv.DropServingPages();
      EXPECT_EQ(PagesUsed(), 0);
      {
        SequenceKv other(kGeometry, store_.get());
        ASSERT_TRUE(other.Extend(5 * kKvPageTokens));
        Write(other, 0, 5 * kKvPageTokens, 0.75f);  // Over what it gave back.
      }
      ExpectRows(kv, 0, prompt, 0.25f);
      ASSERT_TRUE(kv.Extend(prompt + 40));
      Write(kv, prompt, 40, 0.25f);
      EXPECT_TRUE(RecordBytes(id, prompt) == sealed) << "prompt of " << prompt;
      ExpectRows(kv, 0, prompt + 40, 0.25f);
    }
    EXPECT_EQ(PagesUsed(), 0);
    store_->Unpin(id, 0);
    store_->CheckInvariants();
  }
}

TEST_F(SequenceKvTest, PagesAreTakenAsTheSequenceGrows) {
  const uint64_t id = BeginRecord(33);
  SequenceKv kv(kGeometry, store_.get());
  kv.UseRecord(id, 33);
  EXPECT_EQ(kv.pages(), 2);
  ASSERT_TRUE(kv.Extend(64)) << "the rest of the record's last page, as long as it is not sealed";
  EXPECT_EQ(kv.serving_pages(), 0);
  kv.SealRecord();
  store_->Seal(id, 33, {});
  EXPECT_EQ(kv.pages(), 1) << "a sealed page that is not full is to be copied";
  ASSERT_TRUE(kv.Extend(34));
  EXPECT_EQ(kv.serving_pages(), 1);
  ASSERT_TRUE(kv.Extend(64));
  EXPECT_EQ(kv.serving_pages(), 1);
  // Of 5 pages a layer one is taken: 4 more fit, 5 do not.
  EXPECT_FALSE(kv.Extend(7 * kKvPageTokens));
  EXPECT_EQ(kv.serving_pages(), 1) << "all or nothing";
  EXPECT_EQ(PagesUsed(), kGeometry.layers);
  EXPECT_TRUE(kv.Extend(6 * kKvPageTokens));
  EXPECT_EQ(PagesUsed(), kServingPages);
  EXPECT_EQ(store_->serving_kv_pages_free(), 0);
  store_->Unpin(id, 0);
}

}  // namespace
}  // namespace alchemist
