#include "trainer/revision_cache.h"

#include <cstdlib>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

class RevisionCacheTest : public testing::Test {
 protected:
  RevisionCacheTest() : directory_(absl::StrCat(testing::TempDir(), "/revisions-XXXXXX")) {
    PCHECK(mkdtemp(directory_.data()) != nullptr) << directory_;
    std::filesystem::create_directories(directory_ + "/default");
    for (const uint64_t number : {4, 5}) {
      const auto adapter = MakeAdapter(number);
      CHECK(adapter->Save(PathOf(number), "base").ok());
      revisions_.push_back({"default", number, adapter->digest()});
    }
  }
  std::string PathOf(uint64_t number) const {
    return absl::StrCat(directory_, "/default/", number);
  }
  std::shared_ptr<const LoraAdapter> MakeAdapter(uint64_t seed) const {
    LoraConfig config;
    config.rank = 2;
    config.targets = {Linear::kQ};
    auto adapter = LoraAdapter::Create(model_, config, seed);
    CHECK(adapter.ok()) << adapter.status();
    return *std::move(adapter);
  }

  const ModelConfig model_ = TinyModelConfig(ModelFamily::kLlama);
  std::string directory_;
  std::vector<RevisionName> revisions_;
};

TEST_F(RevisionCacheTest, LoadsOnceAndKeepsByDigest) {
  RevisionCache cache(directory_, &model_);
  const auto first = cache.Get(revisions_[0]);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->digest(), revisions_[0].digest);
  std::filesystem::remove_all(PathOf(4));
  EXPECT_EQ(*cache.Get(revisions_[0]), *first);
}

TEST_F(RevisionCacheTest, ADirectoryOfAnotherDigestIsDataLoss) {
  RevisionCache cache(directory_, &model_);
  RevisionName wrong = revisions_[0];
  wrong.number = 5;
  EXPECT_EQ(cache.Get(wrong).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(cache.Get(revisions_[0]).ok()) << "nothing wrong was kept";
}

TEST_F(RevisionCacheTest, NamesThatLeaveTheFolderAreRefused) {
  RevisionCache cache(directory_ + "/default", &model_);
  for (const char* id : {"", ".", "..", "../default", ".hidden", "a/../../default", "/default"}) {
    EXPECT_EQ(cache.Get({id, 4, revisions_[0].digest}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << "'" << id << "'";
  }
  EXPECT_EQ(cache.Get({"absent", 4, "x"}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RevisionCacheTest, OnlyWhatIsWantedStays) {
  RevisionCache cache(directory_, &model_);
  const auto kept = cache.Get(revisions_[0]);
  const auto dropped = cache.Get(revisions_[1]);
  ASSERT_TRUE(kept.ok() && dropped.ok());
  cache.KeepOnly(std::set<std::string>{revisions_[0].digest});
  std::filesystem::remove_all(directory_);
  EXPECT_TRUE(cache.Get(revisions_[0]).ok());
  EXPECT_FALSE(cache.Get(revisions_[1]).ok());
  EXPECT_EQ((*dropped)->digest(), revisions_[1].digest) << "whoever holds it still has it";
}

TEST_F(RevisionCacheTest, WhatWasAddedNeedsNoDirectory) {
  RevisionCache cache(directory_, &model_);
  const auto adapter = MakeAdapter(77);
  cache.Add({"default", 6, adapter->digest()}, adapter);
  EXPECT_EQ(*cache.Get({"default", 6, adapter->digest()}), adapter);
}

}  // namespace
}  // namespace alchemist
