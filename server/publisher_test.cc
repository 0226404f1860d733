#include "server/publisher.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/logging.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/random_model.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;
using Revision = std::shared_ptr<const ServedRevision>;

constexpr int64_t kWaitUs = 20'000'000;

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() : directory_(FreshDirectory()) {
    const std::string model = directory_ + "/model";
    CHECK(WriteRandomModel(TinyModelConfig(ModelFamily::kLlama), 1, {}, model).ok());
    model_ = *Model::Load(model);
    log_ = *LogThread::Start(directory_, {});
    AdapterRegistry::Options options;
    options.data_dir = directory_;
    options.adapter.rank = 2;
    options.adapter.targets = {Linear::kQ};
    options.revisions_kept = 1;
    CHECK(InLog([&](FeedbackLog& log) -> absl::Status {
            ASSIGN_OR_RETURN(registry_, AdapterRegistry::Open(options, model_.get(), &clock_, log));
            return absl::OkStatus();
          }).ok());
    publisher_ = std::make_unique<Publisher>(registry_.get(), log_.get());
  }
  ~PublisherTest() override { log_->Stop().IgnoreError(); }

  absl::Status InLog(LogWork work) {
    BoundedQueue<absl::Status> done(1);
    RETURN_IF_ERROR(
        log_->Post(std::move(work), [&](absl::Status status) { done.TryPush(std::move(status)); }));
    return done.Pop(kWaitUs).value_or(absl::DeadlineExceededError("the log"));
  }
  PublishCandidate Write(const std::string& name, int64_t parent, float value) {
    std::unique_ptr<LoraAdapter> adapter = registry_->serving()->adapter->Clone();
    adapter->MutableB(0, Linear::kQ).Row<float>(0)[0] = value;
    adapter->UpdateDigest();
    CHECK(adapter->Save(registry_->incoming_dir() + "/" + name, "base").ok());
    PublishCandidate candidate;
    candidate.directory = name;
    candidate.digest = adapter->digest();
    candidate.parent = parent;
    return candidate;
  }
  absl::StatusOr<Revision> Publish(const PublishCandidate& candidate) {
    absl::StatusOr<Revision> result = absl::UnknownError("not run");
    CHECK(publisher_->PostPublish(candidate, [&](auto done) { result = std::move(done); }).ok());
    publisher_->RunOnce(0);
    return result;
  }
  absl::StatusOr<Revision> RollBack(int64_t number) {
    absl::StatusOr<Revision> result = absl::UnknownError("not run");
    CHECK(publisher_->PostRollback(number, [&](auto done) { result = std::move(done); }).ok());
    publisher_->RunOnce(0);
    return result;
  }
  void Retire(std::set<int64_t> in_use) {
    CHECK(publisher_->PostRetire(std::move(in_use)).ok());
    publisher_->RunOnce(0);
  }
  // Publishes a candidate on another thread, and calls `meanwhile` while it is being read.
  absl::StatusOr<Revision> PublishSlowly(const PublishCandidate& candidate,
                                         const std::function<void()>& meanwhile) {
    const std::string config =
        absl::StrCat(registry_->incoming_dir(), "/", candidate.directory, "/adapter_config.json");
    const std::string text = *ReadFile(config, 1 << 20);
    CHECK(std::filesystem::remove(config));
    PCHECK(mkfifo(config.c_str(), 0600) == 0);
    absl::StatusOr<Revision> result = absl::UnknownError("not run");
    std::thread publishing([&] { result = Publish(candidate); });
    {
      std::ofstream fifo(config);  // Opens when the reader does.
      meanwhile();
      fifo << text;
    }
    publishing.join();
    return result;
  }

  const std::string directory_;
  ManualClock clock_;
  std::unique_ptr<const Model> model_;
  std::unique_ptr<LogThread> log_;
  std::unique_ptr<AdapterRegistry> registry_;
  std::unique_ptr<Publisher> publisher_;
};

TEST_F(PublisherTest, TheLogGoesOnWhileACandidateIsRead) {
  const auto published = PublishSlowly(Write("one", 0, 0.5f), [&] {
    const absl::Status logged =
        InLog([](FeedbackLog& log) { return log.completions().Add(TestCompletion("meanwhile")); });
    EXPECT_TRUE(logged.ok()) << logged;
  });
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ((*published)->id.number, 1);
}

TEST_F(PublisherTest, APinThatComesWhileACandidateIsReadHolds) {
  const auto published = PublishSlowly(Write("one", 0, 0.5f), [&] {
    ASSERT_TRUE(InLog([](FeedbackLog& log) {
                  return log.revisions().SetPinned(kDefaultAdapter, true);
                }).ok());
  });
  EXPECT_THAT(std::string(published.status().message()), HasSubstr("pinned"));
  // Its directory, which has no row, goes with the next cleaning.
  EXPECT_TRUE(registry_->HasDirectory(1));
  Retire({});
  EXPECT_FALSE(registry_->HasDirectory(1));
  EXPECT_TRUE(registry_->HasDirectory(0));
}

TEST_F(PublisherTest, ARollbackServesAnyRevisionThatIsKeptAndNoOther) {
  for (int64_t number = 1; number <= 3; ++number) {
    const auto published =
        Publish(Write(absl::StrCat(number), number - 1, 0.25f * static_cast<float>(number)));
    ASSERT_TRUE(published.ok()) << published.status();
    EXPECT_EQ((*published)->id.number, number);
  }
  Retire({1});
  EXPECT_EQ(RollBack(9).status().code(), absl::StatusCode::kNotFound);
  const absl::Status gone = RollBack(2).status();
  EXPECT_EQ(gone.code(), absl::StatusCode::kFailedPrecondition) << gone;
  EXPECT_THAT(std::string(gone.message()), HasSubstr("--revisions_kept"));
  const auto rolled_back = RollBack(1);
  ASSERT_TRUE(rolled_back.ok()) << rolled_back.status();
  EXPECT_EQ((*rolled_back)->adapter->digest(), (*rolled_back)->id.digest);
  Retire({});  // The first, the newest and the serving one.
  for (const int64_t number : {0, 1, 3}) EXPECT_TRUE(registry_->HasDirectory(number)) << number;
  EXPECT_FALSE(registry_->HasDirectory(2));
}

TEST_F(PublisherTest, ItsQueueIsBoundedAndEndsWithIt) {
  for (int64_t i = 0; i < Publisher::kJobsMax; ++i) ASSERT_TRUE(publisher_->PostRetire({}).ok());
  EXPECT_EQ(publisher_->PostRetire({}).code(), absl::StatusCode::kResourceExhausted);
  publisher_->Close();
  EXPECT_EQ(publisher_->PostRetire({}).code(), absl::StatusCode::kUnavailable);
  int64_t turns = 0;
  while (publisher_->RunOnce(0)) ++turns;
  EXPECT_EQ(turns, Publisher::kJobsMax) << "what was accepted is run";
}

}  // namespace
}  // namespace alchemist
