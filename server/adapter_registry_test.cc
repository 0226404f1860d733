#include "server/adapter_registry.h"

#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/random_model.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;

class AdapterRegistryTest : public testing::Test {
 protected:
  AdapterRegistryTest() : directory_(FreshDirectory()), log_(OpenLog(directory_)) {
    const std::string model = directory_ + "/model";
    CHECK(WriteRandomModel(TinyModelConfig(ModelFamily::kLlama), 1, {}, model).ok());
    model_ = *Model::Load(model);
    options_.data_dir = directory_;
    options_.adapter.rank = 2;
    options_.adapter.targets = {Linear::kQ};
    options_.sessions_max = 3;
  }

  absl::Status Open() {
    return Transact(log_.get(), [&](FeedbackLog& log) -> absl::Status {
      ASSIGN_OR_RETURN(registry_, AdapterRegistry::Open(options_, model_.get(), &clock_, log));
      return absl::OkStatus();
    });
  }
  std::string RevisionPath(int64_t number) const {
    return absl::StrCat(directory_, "/revisions/default/", number);
  }
  // A candidate folder with the serving weights, one of them set to `value`.
  PublishCandidate Write(const std::string& name, float value) {
    std::unique_ptr<LoraAdapter> adapter = registry_->serving()->adapter->Clone();
    adapter->MutableB(0, Linear::kQ).Row<float>(0)[0] = value;
    adapter->UpdateDigest();
    CHECK(adapter->Save(registry_->incoming_dir() + "/" + name, "base").ok());
    PublishCandidate candidate;
    candidate.directory = name;
    candidate.digest = adapter->digest();
    candidate.parent = registry_->serving()->id.number;
    return candidate;
  }
  absl::StatusOr<int64_t> Mint() {
    int64_t number = 0;
    RETURN_IF_ERROR(Transact(log_.get(), [&](FeedbackLog& log) -> absl::Status {
      ASSIGN_OR_RETURN(number, log.revisions().Mint(kDefaultAdapter));
      return absl::OkStatus();
    }));
    return number;
  }
  absl::Status Publish(const PublishCandidate& candidate) {
    ASSIGN_OR_RETURN(const int64_t number, Mint());
    ASSIGN_OR_RETURN(const auto adapter, registry_->CheckCandidate(candidate));
    RETURN_IF_ERROR(registry_->PutInPlace(candidate, number));
    RETURN_IF_ERROR(Transact(
        log_.get(), [&](FeedbackLog& log) { return registry_->Commit(candidate, number, log); }));
    ASSIGN_OR_RETURN(auto revision, registry_->Load({kDefaultAdapter, number, candidate.digest}));
    registry_->SetServing(std::move(revision));
    return absl::OkStatus();
  }
  std::vector<int64_t> Directories() const {
    std::vector<int64_t> numbers;
    for (int64_t number = 0; number < 10; ++number) {
      if (registry_->HasDirectory(number)) numbers.push_back(number);
    }
    return numbers;
  }
  int64_t PinnedNumber(const std::string& session) { return registry_->Pin(session)->id.number; }

  const std::string directory_;
  std::unique_ptr<FeedbackLog> log_;
  ManualClock clock_;
  std::unique_ptr<const Model> model_;
  AdapterRegistry::Options options_;
  std::unique_ptr<AdapterRegistry> registry_;
};

TEST_F(AdapterRegistryTest, TheFirstStartMakesRevision0AndLaterOnesLoadWhatServes) {
  ASSERT_TRUE(Open().ok());
  const RevisionId first = registry_->serving()->id;
  EXPECT_EQ(first.number, 0);
  EXPECT_EQ(registry_->serving()->adapter->digest(), first.digest);
  ASSERT_TRUE(Publish(Write("one", 0.5f)).ok());
  const RevisionId published = registry_->serving()->id;
  options_.adapter.rank = 4;  // Of no account any more.
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(registry_->serving()->id, published);
  EXPECT_EQ(registry_->config().rank, 2);
}

TEST_F(AdapterRegistryTest, WhatACrashLeftOfTheFirstStartIsReplaced) {
  std::filesystem::create_directories(RevisionPath(0));
  std::filesystem::create_directories(directory_ + "/incoming/left/over");
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(registry_->serving()->id.number, 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/incoming"));
}

TEST_F(AdapterRegistryTest, AServingRevisionOfAnotherDigestStopsTheStart) {
  ASSERT_TRUE(Open().ok());
  const PublishCandidate other = Write("other", 0.5f);
  std::filesystem::remove_all(RevisionPath(0));
  std::filesystem::rename(directory_ + "/incoming/other", RevisionPath(0));
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(AdapterRegistryTest, CandidatesOfOtherShapesOrNotFiniteAreRefused) {
  ASSERT_TRUE(Open().ok());
  LoraConfig config = options_.adapter;
  config.rank = 3;
  const auto other = LoraAdapter::Create(model_->config(), config, 1);
  ASSERT_TRUE(other.ok() && (*other)->Save(directory_ + "/incoming/rank", "base").ok());
  PublishCandidate candidate;
  candidate.directory = "rank";
  candidate.digest = (*other)->digest();
  EXPECT_EQ(registry_->CheckCandidate(candidate).status().code(),
            absl::StatusCode::kInvalidArgument);
  const PublishCandidate bad = Write("nan", std::numeric_limits<float>::quiet_NaN());
  EXPECT_FALSE(registry_->CheckCandidate(bad).ok());
  candidate.directory = std::string("a\0b", 3);
  EXPECT_EQ(registry_->CheckCandidate(candidate).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(AdapterRegistryTest, ADirectoryWithoutARowIsRemovedAtTheStart) {
  ASSERT_TRUE(Open().ok());
  const PublishCandidate candidate = Write("one", 0.5f);
  const auto number = Mint();
  ASSERT_TRUE(number.ok());
  ASSERT_TRUE(registry_->PutInPlace(candidate, *number).ok());  // And then a crash.
  EXPECT_THAT(Directories(), ElementsAre(0, 1));
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(Directories(), ElementsAre(0));
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/incoming"));
}

TEST_F(AdapterRegistryTest, TheFirstTheNewestAndTheServingRevisionAreKept) {
  options_.revisions_kept = 2;
  ASSERT_TRUE(Open().ok());
  for (const char* name : {"1", "2", "3", "4"}) {
    ASSERT_TRUE(Publish(Write(name, static_cast<float>(name[0]))).ok());
  }
  EXPECT_THAT(Directories(), ElementsAre(0, 1, 2, 3, 4));
  ASSERT_TRUE(Transact(log_.get(), [](FeedbackLog& log) {
                return log.revisions().SetServing(kDefaultAdapter, 1);
              }).ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(Directories(), ElementsAre(0, 1, 3, 4));
  EXPECT_EQ(registry_->serving()->id.number, 1);
}

TEST_F(AdapterRegistryTest, ASessionKeepsItsRevisionForAWhile) {
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(PinnedNumber("s"), 0);
  ASSERT_TRUE(Publish(Write("one", 0.5f)).ok());
  EXPECT_EQ(PinnedNumber(""), 1);
  EXPECT_EQ(PinnedNumber("s"), 0);
  EXPECT_THAT(registry_->SessionRevisions(), ElementsAre(0));
  clock_.AdvanceUs(options_.session_revision_us - 1);
  EXPECT_EQ(PinnedNumber("s"), 0);
  clock_.AdvanceUs(1);
  EXPECT_EQ(PinnedNumber("s"), 1);
  EXPECT_TRUE(CheckAdapterId("").ok() && CheckAdapterId(kDefaultAdapter).ok());
  EXPECT_EQ(CheckAdapterId("other").code(), absl::StatusCode::kNotFound);
}

TEST_F(AdapterRegistryTest, SessionsAreBounded) {
  ASSERT_TRUE(Open().ok());
  for (const char* session : {"a", "b", "c"}) EXPECT_EQ(PinnedNumber(session), 0);
  ASSERT_TRUE(Publish(Write("one", 0.5f)).ok());
  EXPECT_EQ(PinnedNumber("d"), 1);
  EXPECT_EQ(PinnedNumber("a"), 1) << "only the pin was lost";
}

}  // namespace
}  // namespace alchemist
