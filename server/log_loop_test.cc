#include "server/log_loop.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fault_vfs.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr int64_t kNoWait = 0;

class LogLoopTest : public testing::Test {
 protected:
  void Make(LogLoop::Options options = {}) {
    FeedbackLog::Options log_options;
    log_options.vfs = vfs_.name();
    options.clock = &clock_;
    loop_ = std::make_unique<LogLoop>(OpenLog(directory_, log_options), options);
    vfs_.Arm(DiskFault::kNone, /*nth=*/1, /*lasting=*/false);  // Counts syncs from here.
  }

  // Posts `work`; its outcome will stand at the returned index of answers_.
  size_t Post(LogWork work) {
    const size_t index = answers_.size();
    answers_.emplace_back();
    const absl::Status status = loop_->Post(std::move(work), [this, index](absl::Status outcome) {
      EXPECT_FALSE(answers_[index].has_value()) << "answered twice";
      answers_[index] = outcome.code();
    });
    EXPECT_TRUE(status.ok()) << status;
    return index;
  }
  size_t PostCompletion(const std::string& id) {
    return Post([id](FeedbackLog& log) { return log.completions().Add(TestCompletion(id)); });
  }
  void PostCompletions(int count) {
    for (int i = 0; i < count; ++i) PostCompletion(absl::StrCat("cmpl-", i));
  }

  bool IsStored(const std::string& id) {
    const size_t index =
        Post([id](FeedbackLog& log) { return log.completions().Find(id).status(); });
    while (!answers_[index].has_value()) loop_->RunOnce(kNoWait);
    return answers_[index] == absl::StatusCode::kOk;
  }

  ManualClock clock_;
  FaultVfs vfs_{"loop"};
  const std::string directory_ = FreshDirectory();
  std::unique_ptr<LogLoop> loop_;
  std::vector<std::optional<absl::StatusCode>> answers_;
};

TEST_F(LogLoopTest, AGroupSharesOneSync) {
  Make();
  PostCompletions(64 + 3);
  EXPECT_TRUE(loop_->RunOnce(kNoWait));
  EXPECT_EQ(vfs_.syncs(), 1);
  EXPECT_EQ(answers_[63], absl::StatusCode::kOk);
  EXPECT_FALSE(answers_[64].has_value()) << "a group has at most 64 commands";
  EXPECT_TRUE(loop_->RunOnce(kNoWait));
  EXPECT_EQ(vfs_.syncs(), 2);
  EXPECT_THAT(answers_, Each(absl::StatusCode::kOk));
}

TEST_F(LogLoopTest, AnOldGroupTakesNoMoreCommands) {
  Make();
  PostCompletion("cmpl-0");
  Post([this](FeedbackLog&) {
    clock_.AdvanceUs(5000);
    return absl::OkStatus();
  });
  PostCompletion("cmpl-1");
  loop_->RunOnce(kNoWait);
  EXPECT_THAT(answers_, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kOk, std::nullopt));
  loop_->RunOnce(kNoWait);
  EXPECT_EQ(answers_[2], absl::StatusCode::kOk);
}

TEST_F(LogLoopTest, NothingIsAnsweredBeforeTheCommit) {
  Make();
  bool answered = false;
  const absl::Status first =
      loop_->Post([](FeedbackLog& log) { return log.completions().Add(TestCompletion("cmpl-0")); },
                  [&](absl::Status) {
                    answered = true;
                    EXPECT_EQ(vfs_.syncs(), 1) << "answered before it was synced";
                  });
  ASSERT_TRUE(first.ok()) << first;
  Post([&](FeedbackLog&) {
    EXPECT_FALSE(answered);
    return absl::OkStatus();
  });
  loop_->RunOnce(kNoWait);
  EXPECT_TRUE(answered);
}

TEST_F(LogLoopTest, AReadNeedsNoSync) {
  Make();
  EXPECT_FALSE(IsStored("cmpl-0"));
  EXPECT_EQ(vfs_.syncs(), 0);
}

TEST_F(LogLoopTest, ACommandThatFailsIsUndoneAlone) {
  Make();
  PostCompletion("cmpl-0");
  Post([](FeedbackLog& log) -> absl::Status {
    RETURN_IF_ERROR(log.completions().Add(TestCompletion("cmpl-half")));
    return absl::InvalidArgumentError("no");
  });
  PostCompletion("cmpl-1");
  loop_->RunOnce(kNoWait);
  EXPECT_THAT(answers_, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kInvalidArgument,
                                    absl::StatusCode::kOk));
  EXPECT_TRUE(IsStored("cmpl-0"));
  EXPECT_FALSE(IsStored("cmpl-half"));
  EXPECT_TRUE(IsStored("cmpl-1"));
}

TEST_F(LogLoopTest, AFullQueueRefusesAtOnce) {
  LogLoop::Options options;
  options.queue_commands = 2;
  Make(options);
  PostCompletions(2);
  const auto never = [](absl::Status) { FAIL() << "a refused command was answered"; };
  const auto nothing = [](FeedbackLog&) { return absl::OkStatus(); };
  EXPECT_EQ(loop_->Post(nothing, never).code(), absl::StatusCode::kResourceExhausted);
  loop_->RunOnce(kNoWait);
  PostCompletion("cmpl-2");
}

TEST_F(LogLoopTest, ACloseDrainsAndThenRefuses) {
  Make();
  PostCompletions(70);
  loop_->CloseQueue();
  const auto never = [](absl::Status) { FAIL() << "a refused command was answered"; };
  const auto nothing = [](FeedbackLog&) { return absl::OkStatus(); };
  EXPECT_EQ(loop_->Post(nothing, never).code(), absl::StatusCode::kUnavailable);
  while (loop_->RunOnce(kNoWait)) {
  }
  EXPECT_THAT(answers_, Each(absl::StatusCode::kOk));
  EXPECT_TRUE(loop_->CloseLog().ok());
}

TEST_F(LogLoopTest, AFullDiskFailsTheGroupsCommandsAndThenTheyWorkAgain) {
  Make();
  PostCompletions(3);
  vfs_.Arm(DiskFault::kFull, /*nth=*/2, /*lasting=*/true);
  loop_->RunOnce(kNoWait);
  EXPECT_THAT(answers_, Each(absl::StatusCode::kResourceExhausted));
  vfs_.Heal();
  EXPECT_FALSE(IsStored("cmpl-0"));
  PostCompletions(3);
  loop_->RunOnce(kNoWait);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(IsStored(absl::StrCat("cmpl-", i)));
}

TEST_F(LogLoopTest, AFailedGroupIsTriedOnceMoreEachAlone) {
  Make();
  int runs = 0;
  PostCompletion("cmpl-0");
  Post([&](FeedbackLog& log) {
    ++runs;
    return log.completions().Add(TestCompletion("cmpl-1"));
  });
  vfs_.Arm(DiskFault::kFull, /*nth=*/1, /*lasting=*/false);  // The disk is full for a moment.
  loop_->RunOnce(kNoWait);
  EXPECT_THAT(answers_, Each(absl::StatusCode::kOk));
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(vfs_.syncs(), 2) << "one for each";
  EXPECT_TRUE(IsStored("cmpl-0"));
  EXPECT_TRUE(IsStored("cmpl-1"));
}

TEST_F(LogLoopTest, AfterAFailedSyncNothingIsTriedAgain) {
  Make();
  int runs = 0;
  Post([&](FeedbackLog& log) {
    ++runs;
    return log.completions().Add(TestCompletion("cmpl-0"));
  });
  vfs_.Arm(DiskFault::kSyncError, /*nth=*/1, /*lasting=*/false);
  loop_->RunOnce(kNoWait);
  PostCompletion("cmpl-1");
  loop_->RunOnce(kNoWait);
  EXPECT_THAT(answers_, Each(absl::StatusCode::kUnavailable));
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(vfs_.syncs(), 1);
}

}  // namespace
}  // namespace alchemist
