// Agents that do not behave: programs that are no agents at all.
#include "tools/gpu_check/agent_process.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

using testing::HasSubstr;

constexpr int64_t kWaitUs = 10'000'000;

absl::Status StartStatus(const std::string& script, int64_t timeout_us) {
  return AgentProcess::Start({.name = "exporter",
                              .command = {"/bin/sh", "-c", script},
                              .log_path = testing::TempDir() + "/agent.log",
                              .start_timeout_us = timeout_us})
      .status();
}

// Answers hello, then whatever is written after it.
constexpr char kHello[] = "printf '{}' >&3; ";

TEST(AgentProcessTest, AnAgentThatSaysNothingIsGivenUpInTime) {
  const absl::Status status = StartStatus("sleep 1000", 50'000);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "exporter, start: no answer within 50 ms");
}

TEST(AgentProcessTest, TheErrorOfADeadAgentSaysHowItEndedAndItsLastWords) {
  const absl::Status exited = StartStatus("echo out of luck; exit 7", kWaitUs);
  EXPECT_EQ(exited.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(exited.message()),
              HasSubstr("exporter, start: the process ended with 7; it said: "));
  EXPECT_THAT(std::string(exited.message()), HasSubstr("out of luck"));
  const absl::Status killed = StartStatus("kill -9 $$", kWaitUs);
  EXPECT_THAT(std::string(killed.message()), HasSubstr("was killed by signal 9"));
}

TEST(AgentProcessTest, AnAnswerThatIsNoJsonIsAnErrorNotACrash) {
  const absl::Status status = StartStatus("printf nonsense >&3; sleep 1000", kWaitUs);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("agent message"));
}

TEST(AgentProcessTest, TheTimeOutOfARequestNamesItAndTheAgent) {
  const auto agent =
      AgentProcess::Start({.name = "importer",
                           .command = {"/bin/sh", "-c", std::string(kHello) + "sleep 1000"},
                           .log_path = testing::TempDir() + "/agent.log"});
  ASSERT_TRUE(agent.ok()) << agent.status();
  const absl::Status status = (*agent)->Call("fill", {}, 20'000).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "importer, fill: no answer within 20 ms");
}

TEST(AgentProcessTest, AnErrorInPlaceOfAnAnswerKeepsItsCode) {
  const absl::Status status =
      StartStatus(R"(printf '{"error": "no room", "code": 8}' >&3; sleep 1000)", kWaitUs);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "exporter, start: no room");
}

}  // namespace
}  // namespace alchemist
