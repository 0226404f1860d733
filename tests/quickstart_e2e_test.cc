// The quickstart's program, in a short form: it learns, reports, and leaves nothing behind, however
// it ends.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tools/daemons/process.h"

namespace alchemist {
namespace {

constexpr int64_t kDeadlineUs = 120'000'000;
constexpr int64_t kFileBytesMax = 1 << 20;

// The processes whose command line names `text`, but not those that have ended and wait to be
// reaped.
int CountProcesses(const std::string& text) {
  int count = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const auto command = ReadFile(entry.path().string() + "/cmdline", kFileBytesMax);
    if (command.ok() && absl::StrContains(*command, text)) ++count;
  }
  return count;
}

class QuickstartE2eTest : public ::testing::Test {
 protected:
  QuickstartE2eTest() {
    std::string path = ::testing::TempDir() + "/q.XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr) << path;
    directory_ = path;
    std::filesystem::create_directory(work_dir());
  }
  ~QuickstartE2eTest() override { std::filesystem::remove_all(directory_); }

  std::string work_dir() const { return directory_ + "/work"; }
  std::string report() const { return directory_ + "/report.json"; }

  // On the committed model, of which nothing is expected after so few questions.
  void Start(std::vector<std::string> flags) {
    std::vector<std::string> command = {
        ProgramPath("tools/quickstart/quickstart"),
        "--server_program=" + ProgramPath("server/alchemist-server"),
        "--trainer_program=" + ProgramPath("trainer/alchemist-trainer"),
        "--model=" + ProgramPath("deploy/quickstart_model"),
        "--work_dir=" + work_dir(),
        "--server_flags=--threads=1 --device_bytes=67108864 --serving_kv_bytes=16777216",
        "--trainer_flags=--threads=1 --passes=2 --publish_interval_ms=100",
        "--retained_facts=10",
        "--facts_per_second=100",
        "--idle_seconds=0.5"};
    command.insert(command.end(), flags.begin(), flags.end());
    auto process = Process::Start({std::move(command), {}, directory_ + "/log"});
    ASSERT_OK(process);
    process_ = *std::move(process);
  }

  // Until the trainer is there too and facts are corrected.
  void WaitForLearning() {
    WaitFor([&] { return absl::StrContains(process_->Log(), "model learns"); });
    ASSERT_EQ(CountProcesses("--runtime_dir=" + work_dir()), 2) << process_->Log();
  }

  void WaitFor(const std::function<bool()>& condition) {
    const int64_t deadline_us = Clock::Real()->MonotonicUs() + kDeadlineUs;
    while (!condition()) {
      ASSERT_LT(Clock::Real()->MonotonicUs(), deadline_us) << process_->Log();
      process_->WaitForExit(10'000);
    }
  }

  // No daemon, and no file in the folder that was lent.
  void ExpectNothingIsLeft() {
    EXPECT_EQ(CountProcesses(work_dir()), 0) << process_->Log();
    EXPECT_TRUE(std::filesystem::is_empty(work_dir()));
  }

  std::string directory_;
  std::unique_ptr<Process> process_;
};

TEST_F(QuickstartE2eTest, ItLearnsAndReportsWhatTheIssueNames) {
  Start({"--facts=3", "--seed=3", "--report=" + report()});
  ASSERT_TRUE(process_->WaitForExit(kDeadlineUs)) << process_->Log();
  ASSERT_TRUE(process_->exited_with(0)) << process_->Log();
  const auto text = ReadFile(report(), kFileBytesMax);
  ASSERT_OK(text);
  const auto json = ParseJson(*text, "report");
  ASSERT_OK(json);
  for (const char* key :
       {"corrected_accuracy_before", "corrected_accuracy_after", "retained_accuracy_before",
        "retained_accuracy_after", "feedback_to_served_seconds_p50",
        "first_pass_prompt_tokens_reused_share", "tokens_reused", "tokens_recomputed",
        "ttft_ms_p50_idle", "ttft_ms_p50_training", "revisions"}) {
    EXPECT_TRUE(json->contains(key)) << key;
  }
  // The committed model knows what it was taught, and nothing else.
  EXPECT_LE(json->value("corrected_accuracy_before", 1.0), 0.4) << *text;
  EXPECT_GE(json->value("retained_accuracy_before", 0.0), 0.9) << *text;
  // Three facts in three forms, each trained from the record that serving left.
  EXPECT_EQ(json->value("feedback_sent", 0), 9) << *text;
  EXPECT_EQ(json->value("feedback_served", 0), 9) << *text;
  EXPECT_GT(json->value("first_pass_tokens_reused", 0), 0) << *text;
  EXPECT_GE(json->value("revisions", 0), 1) << *text;
  EXPECT_GT(json->value("ttft_ms_p50_idle", 0.0), 0) << *text;
  ExpectNothingIsLeft();
}

TEST_F(QuickstartE2eTest, ASignalEndsItsDaemonsAndRemovesItsFiles) {
  Start({"--facts=20"});
  WaitForLearning();
  process_->Signal(SIGTERM);
  ASSERT_TRUE(process_->WaitForExit(kDeadlineUs)) << process_->Log();
  EXPECT_TRUE(process_->exited_with(128 + SIGTERM)) << process_->Log();
  ExpectNothingIsLeft();
}

TEST_F(QuickstartE2eTest, KilledItTakesItsDaemonsAlong) {
  Start({"--facts=20"});
  WaitForLearning();
  process_->Signal(SIGKILL);
  ASSERT_TRUE(process_->WaitForExit(kDeadlineUs));
  const int64_t deadline_us = Clock::Real()->MonotonicUs() + kDeadlineUs;
  while (CountProcesses(work_dir()) > 0) {
    ASSERT_LT(Clock::Real()->MonotonicUs(), deadline_us) << "daemons outlive it";
  }
}

TEST_F(QuickstartE2eTest, AServerThatDoesNotStartIsToldWithItsReason) {
  Start({"--model=" + directory_ + "/no_model"});
  ASSERT_TRUE(process_->WaitForExit(kDeadlineUs)) << process_->Log();
  EXPECT_TRUE(process_->exited_with(1)) << process_->Log();
  EXPECT_TRUE(absl::StrContains(process_->Log(), "no_model")) << process_->Log();
  ExpectNothingIsLeft();
}

}  // namespace
}  // namespace alchemist
