// F1: either daemon is killed at each marked point of a step, a checkpoint, a commit or a publish,
// while clients ask and give feedback; it is started again, and nothing that was promised is lost.
// A point that is never reached fails the test. ALCHEMIST_LONG kills at later passages too.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/kill_point.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

constexpr int64_t kPasses = 3;        // TestDaemons' default for --passes.
constexpr int64_t kFeedbackMax = 12;  // Given while the victim lives.
constexpr int64_t kPaceUs = 50'000;   // Between two of them; the victim's death ends the wait.
constexpr int64_t kLogBytesMax = 1 << 20;
constexpr int64_t kDescriptorsSlack = 1;  // A client's connection may come and go.

struct Point {
  const char* name;
  bool in_server;
  int passage;  // The first that is in the middle of things.
};

void PrintTo(const Point& point, std::ostream* out) { *out << point.name << ":" << point.passage; }

constexpr Point kPoints[] = {
    {"registry.first_revision_saved", true, 1},
    {"log.before_commit", true, 6},
    {"log.after_commit", true, 6},
    {"log.after_ack", true, 6},
    {"feedback.committed", true, 2},
    {"server.record_sealed", true, 2},
    {"server.completion_posted", true, 2},
    {"server.hello_logged", true, 1},
    {"server.leased", true, 2},
    {"publish.minted", true, 1},
    {"publish.renamed", true, 1},
    {"publish.committed", true, 1},
    {"trainer.item_received", false, 2},
    {"trainer.step_begins", false, 2},
    {"trainer.layer_done", false, 2},
    {"trainer.step_applied", false, 2},
    {"checkpoint.moments_written", false, 1},
    {"checkpoint.before_rename", false, 2},
    {"checkpoint.after_rename", false, 1},
    {"trainer.checkpointed", false, 1},
    {"trainer.candidate_written", false, 1},
    {"trainer.published", false, 1},
    {"trainer.publish_accepted", false, 1},
};

TEST(KillPointsTest, EachIsKilledAt) {
  std::set<std::string> tested;
  for (const Point& point : kPoints) tested.insert(point.name);
  const std::set<std::string> all(std::begin(kKillPoints), std::end(kKillPoints));
  EXPECT_EQ(tested, all);
}

std::vector<Point> PointsToTest() {
  std::vector<Point> points(std::begin(kPoints), std::end(kPoints));
  if (std::getenv("ALCHEMIST_LONG") == nullptr) return points;
  for (const Point& point : kPoints) {
    if (absl::StartsWith(point.name, "registry.")) continue;  // Passed once in a life.
    points.push_back({point.name, point.in_server, point.passage + 1});
    points.push_back({point.name, point.in_server, point.passage + 3});
  }
  return points;
}

class CrashE2eTest : public ::testing::TestWithParam<Point> {
 protected:
  static void SetUpTestSuite() { ASSERT_OK(WriteTestModel(ModelFamily::kLlama, ModelDirectory())); }
  static std::string ModelDirectory() { return ::testing::TempDir() + "/model"; }

  Process& Survivor() { return GetParam().in_server ? daemons_.trainer() : daemons_.server(); }
  Process& Victim() { return GetParam().in_server ? daemons_.server() : daemons_.trainer(); }
  void StartWithPoint();
  void DriveUntilTheVictimDies();
  void RestartTheVictim();
  // False when the server did not answer, which only its own death excuses.
  bool AskAndCorrect();
  void ExpectNothingLost();
  bool EveryDirectoryHasARow(const std::vector<v1::RevisionInfo>& revisions);

  TestDaemons daemons_{ModelDirectory()};
  std::vector<std::string> acknowledged_;              // Feedback ids.
  std::vector<v1::SubmitFeedbackRequest> unanswered_;  // The server died meanwhile.
  uint64_t asked_ = 0;
};

void CrashE2eTest::StartWithPoint() {
  const DaemonStart armed = {.kill_point = absl::StrCat(GetParam().name, ":", GetParam().passage)};
  if (!GetParam().in_server) {
    ASSERT_OK(daemons_.StartServer());
    ASSERT_OK(daemons_.StartTrainer(armed));
    return;
  }
  ASSERT_OK(daemons_.StartTrainer());
  const absl::Status started = daemons_.StartServer(armed);
  // It may die before it serves.
  ASSERT_TRUE(started.ok() || !daemons_.server().running()) << started;
}

bool CrashE2eTest::AskAndCorrect() {
  ++asked_;
  const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(20 + asked_, asked_), 4));
  if (!answer.ok()) {
    EXPECT_TRUE(GetParam().in_server)
        << "the trainer's death failed a request: " << answer.status();
    return false;
  }
  const v1::SubmitFeedbackRequest request =
      CorrectionOf(answer->final.completion_id(), absl::StrCat("key", asked_), "right");
  const auto feedback = daemons_.client().SubmitFeedback(request);
  if (!feedback.ok()) {
    EXPECT_TRUE(GetParam().in_server)
        << "the trainer's death failed feedback: " << feedback.status();
    unanswered_.push_back(request);
    return false;
  }
  acknowledged_.push_back(feedback->feedback_id());
  return true;
}

void CrashE2eTest::DriveUntilTheVictimDies() {
  const int64_t deadline_us = Clock::Real()->MonotonicUs() + TestDaemons::kDeadlineUs;
  while (!Victim().WaitForExit(kPaceUs)) {
    ASSERT_LT(Clock::Real()->MonotonicUs(), deadline_us)
        << GetParam().name << " was never reached\n"
        << daemons_.Logs();
    if (static_cast<int64_t>(acknowledged_.size()) < kFeedbackMax && !AskAndCorrect()) {
      ASSERT_TRUE(Victim().WaitForExit(TestDaemons::kDeadlineUs)) << daemons_.Logs();
    }
  }
  EXPECT_TRUE(Victim().killed_by(SIGKILL)) << daemons_.Logs();
  const absl::StatusOr<std::string> hits = ReadFile(daemons_.kill_log(), kLogBytesMax);
  ASSERT_OK(hits);
  EXPECT_EQ(*hits, absl::StrCat(GetParam().name, "\n"));
}

void CrashE2eTest::RestartTheVictim() {
  if (!GetParam().in_server) {
    // Serving goes on without it.
    EXPECT_TRUE(AskAndCorrect());
    ASSERT_OK(daemons_.StartTrainer());
    return;
  }
  ASSERT_OK(daemons_.StartServer());
  for (const v1::SubmitFeedbackRequest& request : unanswered_) {
    // As clients do: the same key again. The completion itself may have been lost with the server.
    const auto feedback = daemons_.client().SubmitFeedback(request);
    if (feedback.ok()) {
      acknowledged_.push_back(feedback->feedback_id());
    } else {
      EXPECT_EQ(feedback.status().code(), absl::StatusCode::kNotFound) << feedback.status();
    }
  }
}

bool CrashE2eTest::EveryDirectoryHasARow(const std::vector<v1::RevisionInfo>& revisions) {
  std::set<std::string> numbers;
  for (const v1::RevisionInfo& info : revisions) {
    numbers.insert(absl::StrCat(info.revision().number()));
  }
  for (const auto& entry :
       std::filesystem::directory_iterator(daemons_.directory() + "/data/revisions/default")) {
    if (!numbers.contains(entry.path().filename())) return false;
  }
  return true;
}

void CrashE2eTest::ExpectNothingLost() {
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  EXPECT_TRUE(AskAndCorrect());
  ASSERT_OK(daemons_.WaitForServed(acknowledged_));
  const auto all = daemons_.client().ListFeedback();
  ASSERT_OK(all);
  std::set<std::string> ids;
  std::set<std::string> keys;
  for (const v1::Feedback& feedback : *all) {
    EXPECT_LE(feedback.passes(), kPasses) << feedback.DebugString();
    EXPECT_TRUE(ids.insert(feedback.feedback_id()).second) << feedback.DebugString();
    EXPECT_TRUE(keys.insert(feedback.idempotency_key()).second) << feedback.DebugString();
  }
  for (const std::string& id : acknowledged_) EXPECT_TRUE(ids.contains(id)) << id << " is lost";

  // The trainer may be publishing: a directory is made before its row, and the list comes in pages,
  // each of its own moment.
  absl::StatusOr<std::vector<v1::RevisionInfo>> revisions;
  ASSERT_OK(daemons_.WaitFor("all revisions to have a row and the last to be served", [&] {
    revisions = daemons_.client().ListRevisions();
    return revisions.ok() && !revisions->empty() && revisions->back().serving() &&
           absl::c_count_if(*revisions, [](const auto& info) { return info.serving(); }) == 1 &&
           EveryDirectoryHasARow(*revisions);
  }));
  std::set<std::string> digests;
  for (size_t i = 0; i < revisions->size(); ++i) {
    const v1::RevisionInfo& info = (*revisions)[i];
    EXPECT_TRUE(digests.insert(info.revision().digest()).second) << info.DebugString();
    EXPECT_EQ(info.serving(), i + 1 == revisions->size()) << info.DebugString();
    if (i == 0) continue;
    EXPECT_GT(info.revision().number(), (*revisions)[i - 1].revision().number());
    EXPECT_EQ(info.parent(), (*revisions)[i - 1].revision().number());
  }
  EXPECT_GE(revisions->size(), 2u);
  ASSERT_OK(daemons_.WaitUntilNothingIsHeld());
}

TEST_P(CrashE2eTest, NothingAcknowledgedIsLost) {
  StartWithPoint();
  ASSERT_FALSE(HasFatalFailure());
  DriveUntilTheVictimDies();
  ASSERT_FALSE(HasFatalFailure());
  RestartTheVictim();
  ASSERT_FALSE(HasFatalFailure());
  ExpectNothingLost();
  ASSERT_FALSE(HasFatalFailure()) << daemons_.Logs();
  EXPECT_TRUE(Survivor().running()) << daemons_.Logs();
  // One more death and life of the victim leaves the survivor with as many descriptors as before.
  const int64_t descriptors = Survivor().CountDescriptors();
  Victim().Signal(SIGKILL);
  ASSERT_TRUE(Victim().WaitForExit(TestDaemons::kDeadlineUs));
  RestartTheVictim();
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  EXPECT_OK(daemons_.WaitFor("descriptors to be closed", [&] {
    return Survivor().CountDescriptors() <= descriptors + kDescriptorsSlack;
  }));
  EXPECT_OK(daemons_.StopTrainer());
  EXPECT_OK(daemons_.StopServer());
}

std::string PointName(const ::testing::TestParamInfo<Point>& info) {
  std::string name = absl::StrCat(info.param.name, "_", info.param.passage);
  for (char& c : name) c = c == '.' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(KillPoints, CrashE2eTest, ::testing::ValuesIn(PointsToTest()), PointName);

}  // namespace
}  // namespace alchemist
