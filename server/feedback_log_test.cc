#include "server/feedback_log.h"

#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/log_testing.h"
#include "server/sqlite_database.h"

namespace alchemist {
namespace {

using testing::HasSubstr;

int64_t FileBytes(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : -1;
}

// Runs SQL on the file of a closed log.
void Edit(const std::string& directory, const char* sql) {
  auto database = SqliteDatabase::Open(absl::StrCat(directory, "/feedback.db"), /*vfs=*/"");
  ASSERT_TRUE(database.ok()) << database.status();
  const absl::Status status = (*database)->Execute(sql);
  ASSERT_TRUE(status.ok()) << status;
}

absl::Status OpenStatus(const std::string& directory) {
  return FeedbackLog::Open(directory, {}).status();
}

TEST(FeedbackLogTest, MakesItsDirectoryAndAFileThatOnlyItsOwnerReads) {
  const std::string directory = absl::StrCat(FreshDirectory(), "/log");
  OpenLog(directory);
  struct stat info;
  ASSERT_EQ(stat(absl::StrCat(directory, "/feedback.db").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(OpenStatus(absl::StrCat(FreshDirectory(), "/no/parent")).code(),
            absl::StatusCode::kNotFound);
}

TEST(FeedbackLogTest, ALogOfVersion3IsKeptAndGoneOnWith) {
  const std::string directory = FreshDirectory();
  ASSERT_TRUE(AddCompletion(OpenLog(directory).get(), TestCompletion("kept")).ok());
  Edit(directory,
       "ALTER TABLE steps DROP COLUMN response_reused; DROP INDEX feedback_by_prompt;"
       "CREATE INDEX feedback_disputing ON feedback (prompt_key, seq) WHERE rating <> 1;"
       "PRAGMA user_version = 3");
  for (int time = 0; time < 2; ++time) {
    auto log = OpenLog(directory);
    StepRow step;
    step.step = 1;
    step.tokens.response_reused = 5;
    const absl::Status status = Transact(log.get(), [&](FeedbackLog& l) -> absl::Status {
      RETURN_IF_ERROR(l.completions().Find("kept").status());
      return l.steps().Record(step);
    });
    EXPECT_TRUE(status.ok()) << status;
  }
  // Fails unless the indices are those of a new log.
  Edit(directory, "DROP INDEX feedback_by_prompt");
  Edit(directory, "CREATE INDEX feedback_disputing ON feedback (seq)");
}

TEST(FeedbackLogTest, RefusesANewerOlderOrForeignFile) {
  const std::string newer = FreshDirectory();
  OpenLog(newer);
  Edit(newer, "PRAGMA user_version = 5");
  EXPECT_EQ(OpenStatus(newer).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(OpenStatus(newer).message()), HasSubstr("version 5"));
  Edit(newer, "PRAGMA user_version = 2");
  EXPECT_EQ(OpenStatus(newer).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(OpenStatus(newer).message()), HasSubstr("version 2"));

  const std::string foreign = FreshDirectory();
  Edit(foreign, "CREATE TABLE other (x)");
  EXPECT_EQ(OpenStatus(foreign).code(), absl::StatusCode::kFailedPrecondition);

  const std::string damaged = FreshDirectory();
  ASSERT_TRUE(WriteFileSynced(damaged + "/feedback.db", std::string(8192, 'x')).ok());
  EXPECT_EQ(OpenStatus(damaged).code(), absl::StatusCode::kDataLoss);
}

TEST(FeedbackLogTest, IsOpenOnlyOnce) {
  const std::string directory = FreshDirectory();
  auto log = OpenLog(directory);
  EXPECT_EQ(OpenStatus(directory).code(), absl::StatusCode::kUnavailable);
  log.reset();
  EXPECT_TRUE(OpenStatus(directory).ok());
}

TEST(FeedbackLogTest, EveryStartHasItsOwnEpoch) {
  const std::string directory = FreshDirectory();
  for (int64_t start = 1; start <= 3; ++start) {
    auto log = OpenLog(directory);
    int64_t epoch = 0;
    const absl::Status status = Transact(log.get(), [&](FeedbackLog& l) -> absl::Status {
      ASSIGN_OR_RETURN(epoch, l.BumpStoreEpoch());
      return absl::OkStatus();
    });
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(epoch, start);
  }
}

TEST(FeedbackLogTest, BelongsToOneModel) {
  const std::string directory = FreshDirectory();
  const auto bind = [&](const BaseId& base) {
    auto log = OpenLog(directory);
    return Transact(log.get(), [&](FeedbackLog& l) { return l.BindBase(base); });
  };
  EXPECT_TRUE(bind({"base", "tokenizer"}).ok());
  EXPECT_TRUE(bind({"base", "tokenizer"}).ok());
  EXPECT_EQ(bind({"other", "tokenizer"}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(bind({"base", "other"}).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(FeedbackLogTest, NestedWorkThatFailsIsUndoneAlone) {
  auto log = OpenLog(FreshDirectory());
  ASSERT_TRUE(log->Begin().ok());
  const absl::Status first =
      log->RunNested([](FeedbackLog& l) { return l.completions().Add(TestCompletion("cmpl-1")); });
  EXPECT_TRUE(first.ok()) << first;
  const absl::Status second = log->RunNested([](FeedbackLog& l) -> absl::Status {
    RETURN_IF_ERROR(l.completions().Add(TestCompletion("cmpl-2")));
    return absl::CancelledError("undo");
  });
  EXPECT_EQ(second.code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(log->Commit().ok());
  EXPECT_EQ(AddCompletion(log.get(), TestCompletion("cmpl-1")).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(AddCompletion(log.get(), TestCompletion("cmpl-2")).ok());
}

TEST(FeedbackLogTest, NothingIsReadOrWrittenOutsideATransaction) {
  auto log = OpenLog(FreshDirectory());
  EXPECT_EQ(log->completions().Add(TestCompletion("cmpl-1")).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(log->feedback().CountUnfinished().status().code(), absl::StatusCode::kAborted);
}

TEST(FeedbackLogTest, TheWriteAheadLogIsBoundedAndEmptyAfterClose) {
  const std::string directory = FreshDirectory();
  const std::string wal = absl::StrCat(directory, "/feedback.db-wal");
  auto log = OpenLog(directory);
  CompletionRow completion = TestCompletion("cmpl-0");
  completion.prompt_tokens.assign(100'000, 1);  // 400 kB a row.
  for (int i = 0; i < 40; ++i) {
    completion.completion_id = absl::StrCat("cmpl-", i);
    ASSERT_TRUE(AddCompletion(log.get(), completion).ok());
    ASSERT_TRUE(log->CheckpointWhenDue().ok());
  }
  EXPECT_GT(FileBytes(absl::StrCat(directory, "/feedback.db")), 12'000'000);
  // The pages that make a checkpoint due, with their headers, and one more row.
  EXPECT_LT(FileBytes(wal), FeedbackLog::kCheckpointPages * (4096 + 24) + 500'000);
  ASSERT_TRUE(log->Close().ok());
  EXPECT_EQ(FileBytes(wal), 0);
}

}  // namespace
}  // namespace alchemist
