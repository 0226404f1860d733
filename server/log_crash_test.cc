// A server that is killed at the marked points of a commit: what it acknowledged is there after the
// next start, and what it did not acknowledge is whole or absent.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "server/log_testing.h"
#include "server/log_thread.h"

namespace alchemist {
namespace {

constexpr int kRows = 40;
constexpr int64_t kTextBytesMax = 1 << 20;

std::string CompletionId(int row) { return absl::StrCat("cmpl-", row); }
std::string FeedbackId(int row) { return absl::StrCat("fb-", row); }

absl::Status AddPair(FeedbackLog& log, int row) {
  RETURN_IF_ERROR(log.completions().Add(TestCompletion(CompletionId(row))));
  return log.feedback().Add(TestRating(FeedbackId(row), CompletionId(row), 1)).status();
}

// Runs in the child: adds rows, and writes a line to `acknowledged` for each that was answered.
void Serve(const std::string& directory, const std::string& acknowledged) {
  const int fd = open(acknowledged.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  PCHECK(fd >= 0) << acknowledged;
  LogThread::Options options;
  options.loop.group_commands = 4;  // So that there are several commits, however fast they are.
  auto log = LogThread::Start(directory, options);
  CHECK(log.ok()) << log.status();
  for (int row = 0; row < kRows; ++row) {
    const absl::Status posted = (*log)->Post(
        [row](FeedbackLog& l) { return AddPair(l, row); },
        [row, fd](absl::Status status) {
          CHECK(status.ok()) << status;
          const std::string line = absl::StrCat(row, "\n");
          PCHECK(write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
        });
    CHECK(posted.ok()) << posted;
  }
  CHECK((*log)->Stop().ok());
}

// Runs Serve in a child that is to die at the `nth` passage of `point`; its wait status.
int RunKilled(const std::string& directory, const std::string& point, int nth) {
  const pid_t child = fork();
  PCHECK(child >= 0);
  if (child == 0) {
    setenv("ALCHEMIST_KILL_POINT", absl::StrCat(point, ":", nth).c_str(), 1);
    setenv("ALCHEMIST_KILL_POINT_LOG", absl::StrCat(directory, "/hit").c_str(), 1);
    Serve(absl::StrCat(directory, "/log"), absl::StrCat(directory, "/acknowledged"));
    _exit(0);
  }
  int status = 0;
  PCHECK(waitpid(child, &status, 0) == child);
  return status;
}

// The content of a file that may not have been made.
std::string ReadOrEmpty(const std::string& path) {
  const auto content = ReadFile(path, kTextBytesMax);
  return content.ok() ? *content : "";
}

class LogCrashTest : public testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(LogCrashTest, WhatWasAcknowledgedIsThereAfterTheNextStart) {
  const auto& [point, nth] = GetParam();
  const std::string directory = FreshDirectory();
  const int status = RunKilled(directory, point, nth);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the point was not hit: " << status;
  ASSERT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(ReadOrEmpty(absl::StrCat(directory, "/hit")), point + "\n");

  int acknowledged = 0;
  const std::string lines = ReadOrEmpty(absl::StrCat(directory, "/acknowledged"));
  for (absl::string_view line : absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    EXPECT_EQ(line, absl::StrCat(acknowledged)) << "answers come in order";
    ++acknowledged;
  }
  auto log = OpenLog(absl::StrCat(directory, "/log"));
  int stored = 0;
  while (GetFeedback(log.get(), FeedbackId(stored)).ok()) ++stored;
  if (point == "log.after_commit") {
    EXPECT_GT(stored, acknowledged) << "killed between commit and answer";
  } else {
    EXPECT_EQ(stored, acknowledged);
  }
  for (int row = stored; row < kRows; ++row) {
    EXPECT_TRUE(AddCompletion(log.get(), TestCompletion(CompletionId(row))).ok()) << "half written";
  }
}

INSTANTIATE_TEST_SUITE_P(KillPoints, LogCrashTest,
                         testing::Combine(testing::Values("log.before_commit", "log.after_commit",
                                                          "log.after_ack"),
                                          testing::Values(1, 2)));

}  // namespace
}  // namespace alchemist
