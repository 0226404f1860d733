// RELIABILITY.md F4 on the feedback log: the n-th call to the disk fails, for every n until a whole
// run of the log (open, commits, close) meets no fault.
#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "server/fault_vfs.h"
#include "server/log_testing.h"
#include "server/sqlite_database.h"

namespace alchemist {
namespace {

constexpr int kRowsBefore = 2;
constexpr int kRowsMax = 4;
constexpr int64_t kCallsMax = 200;

std::string CompletionId(int row) { return absl::StrCat("cmpl-", row); }
std::string FeedbackId(int row) { return absl::StrCat("fb-", row); }
std::string Text(int row) { return std::string(9000, static_cast<char>('a' + row)); }

// One transaction that is whole only with both of its rows; large enough for several pages.
absl::Status AddPair(FeedbackLog* log, int row) {
  return Transact(log, [&](FeedbackLog& l) -> absl::Status {
    RETURN_IF_ERROR(l.completions().Add(TestCompletion(CompletionId(row))));
    return l.feedback().Add(TestCorrection(FeedbackId(row), CompletionId(row), Text(row))).status();
  });
}

// "ok" when the file is sound by SQLite's own account.
std::string Integrity(const std::string& directory, const std::string& vfs) {
  auto database = SqliteDatabase::Open(absl::StrCat(directory, "/feedback.db"), vfs);
  if (!database.ok()) return database.status().ToString();
  const auto foreign_keys = (*database)->QueryText("PRAGMA foreign_key_check");
  if (!foreign_keys.ok() || !foreign_keys->empty()) return "foreign keys are broken";
  const auto integrity = (*database)->QueryText("PRAGMA integrity_check");
  return integrity.ok() ? *integrity : integrity.status().ToString();
}

class FeedbackLogFaultTest : public testing::TestWithParam<std::pair<DiskFault, bool>> {
 protected:
  FeedbackLogFaultTest() : fault_(GetParam().first), lasting_(GetParam().second) {
    // What a server that was killed leaves: acknowledged rows, some only in the write-ahead log.
    auto log = OpenLog(start_, Options());
    for (int row = 0; row < kRowsBefore; ++row) CHECK(AddPair(log.get(), row).ok());
  }

  FeedbackLog::Options Options() const {
    FeedbackLog::Options options;
    options.vfs = vfs_.name();
    return options;
  }

  std::string CopyOfStart() {
    const std::string directory = FreshDirectory();
    for (const char* name : {"/feedback.db", "/feedback.db-wal"}) {
      std::error_code error;
      CHECK(std::filesystem::copy_file(start_ + name, directory + name, error)) << error.message();
    }
    return directory;
  }

  absl::StatusCode CodeOfFault() const {
    const bool full = fault_ == DiskFault::kFull || fault_ == DiskFault::kShortWrite;
    return full ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kUnavailable;
  }

  // Opens, adds the other rows, closes, with the n-th call failing. Appends to `acknowledged`.
  void RunWithFault(const std::string& directory, int64_t n, std::vector<int>* acknowledged);
  // Row `row` failed with `status`: the log goes on when the fault is over, unless it was a sync.
  void GoOnAfter(const absl::Status& status, FeedbackLog* log, int row,
                 std::vector<int>* acknowledged);
  void ExpectWhole(const std::string& directory, const std::vector<int>& acknowledged);

  const DiskFault fault_;
  const bool lasting_;
  const std::string start_ = FreshDirectory();
  FaultVfs vfs_{"fault"};
};

void FeedbackLogFaultTest::RunWithFault(const std::string& directory, int64_t n,
                                        std::vector<int>* acknowledged) {
  vfs_.Arm(fault_, n, lasting_);
  auto opened = FeedbackLog::Open(directory, Options());
  if (!opened.ok()) {
    EXPECT_EQ(opened.status().code(), CodeOfFault()) << opened.status();
    vfs_.Heal();
    opened = FeedbackLog::Open(directory, Options());
  }
  ASSERT_TRUE(opened.ok()) << opened.status();
  FeedbackLog* log = opened->get();
  for (int row = kRowsBefore; row < kRowsMax; ++row) {
    const absl::Status status = AddPair(log, row);
    if (status.ok()) {
      acknowledged->push_back(row);
    } else {
      GoOnAfter(status, log, row, acknowledged);
    }
  }
  const absl::Status closed = log->Close();
  if (!closed.ok()) {
    EXPECT_EQ(closed.code(), CodeOfFault()) << closed;
  }
}

void FeedbackLogFaultTest::GoOnAfter(const absl::Status& status, FeedbackLog* log, int row,
                                     std::vector<int>* acknowledged) {
  EXPECT_EQ(status.code(), CodeOfFault()) << status;
  vfs_.Heal();
  const absl::Status again = AddPair(log, row);
  if (fault_ == DiskFault::kSyncError) {
    EXPECT_EQ(again.code(), absl::StatusCode::kUnavailable) << again;
  } else {
    EXPECT_TRUE(again.ok()) << again;
    acknowledged->push_back(row);
  }
}

void FeedbackLogFaultTest::ExpectWhole(const std::string& directory,
                                       const std::vector<int>& acknowledged) {
  auto log = OpenLog(directory, Options());
  for (int row = 0; row < kRowsMax; ++row) {
    absl::StatusOr<CompletionRow> completion = absl::UnknownError("not run");
    const absl::Status read = Transact(log.get(), [&](FeedbackLog& l) {
      completion = l.completions().Find(CompletionId(row));
      return absl::OkStatus();
    });
    ASSERT_TRUE(read.ok()) << read;
    const auto feedback = GetFeedback(log.get(), FeedbackId(row));
    EXPECT_EQ(completion.ok(), feedback.ok()) << "row " << row << " is half written";
    if (std::find(acknowledged.begin(), acknowledged.end(), row) == acknowledged.end()) continue;
    ASSERT_TRUE(feedback.ok()) << "acknowledged row " << row << " is lost: " << feedback.status();
    EXPECT_EQ(completion->prompt_tokens, TestCompletion(CompletionId(row)).prompt_tokens);
    EXPECT_EQ(feedback->correction_text, Text(row));
  }
}

TEST_P(FeedbackLogFaultTest, NothingAcknowledgedIsLostAndNothingIsHalfWritten) {
  for (int64_t n = 1; n <= kCallsMax; ++n) {
    SCOPED_TRACE(absl::StrCat("call ", n));
    const std::string directory = CopyOfStart();
    std::vector<int> acknowledged = {0, 1};
    RunWithFault(directory, n, &acknowledged);
    const bool untouched = vfs_.faults() == 0;
    vfs_.Heal();
    ExpectWhole(directory, acknowledged);
    EXPECT_EQ(Integrity(directory, vfs_.name()), "ok");
    if (HasFailure()) return;
    if (!untouched) continue;
    EXPECT_EQ(acknowledged.size(), static_cast<size_t>(kRowsMax));
    EXPECT_GT(n, 1) << "the fault never struck";
    RecordProperty("calls", static_cast<int>(n - 1));
    return;
  }
  FAIL() << "still faults after " << kCallsMax << " calls";
}

INSTANTIATE_TEST_SUITE_P(
    Faults, FeedbackLogFaultTest,
    testing::Values(std::pair(DiskFault::kFull, false), std::pair(DiskFault::kFull, true),
                    std::pair(DiskFault::kShortWrite, false), std::pair(DiskFault::kIoError, false),
                    std::pair(DiskFault::kIoError, true), std::pair(DiskFault::kReadError, false),
                    std::pair(DiskFault::kSyncError, true),
                    std::pair(DiskFault::kNoDescriptors, false)));

TEST(FeedbackLogStopTest, AfterAFailedSyncTheFileIsNotTouchedAgain) {
  FaultVfs vfs("stop");
  FeedbackLog::Options options;
  options.vfs = vfs.name();
  const std::string directory = FreshDirectory();
  auto log = OpenLog(directory, options);
  ASSERT_TRUE(AddPair(log.get(), 0).ok());
  vfs.Arm(DiskFault::kSyncError, /*nth=*/1, /*lasting=*/false);
  EXPECT_EQ(AddPair(log.get(), 1).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(vfs.syncs(), 1);

  vfs.Arm(DiskFault::kNone, /*nth=*/1, /*lasting=*/false);
  EXPECT_EQ(AddPair(log.get(), 2).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetFeedback(log.get(), FeedbackId(0)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(log->Close().code(), absl::StatusCode::kUnavailable);
  log.reset();
  EXPECT_EQ(vfs.syncs(), 0) << "a failed sync is never tried again, not even at the end";

  log = OpenLog(directory, options);
  EXPECT_TRUE(GetFeedback(log.get(), FeedbackId(0)).ok());
  EXPECT_GT(vfs.syncs(), 0) << "what the new start reads, it has synced first";
}

}  // namespace
}  // namespace alchemist
