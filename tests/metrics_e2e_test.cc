// What the running server says of itself at /metrics, to a scraper and to promtool.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What `GET path` is answered with, headers included.
absl::StatusOr<std::string> HttpGet(int port, const std::string& path) {
  const FileDescriptor connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus("connect", absl::StrCat(port));
  }
  const std::string request =
      absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  if (send(connection.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return ErrnoStatus("send", path);
  }
  std::string answer;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(connection.get(), buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  return answer;
}

class MetricsE2eTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string model = ::testing::TempDir() + "/model";
    ASSERT_OK(WriteTestModel(ModelFamily::kLlama, model));
    daemons_ = new TestDaemons(model);
    ASSERT_OK(daemons_->StartServer());
  }
  static void TearDownTestSuite() {
    ASSERT_OK(daemons_->StopServer());
    delete daemons_;
  }

  static int port() {
    const absl::StatusOr<std::string> text = ReadFile(daemons_->metrics_port_file(), 64);
    int number = 0;
    EXPECT_TRUE(text.ok() && absl::SimpleAtoi(absl::StripSuffix(*text, "\n"), &number));
    return number;
  }
  static std::string Scrape() {
    const absl::StatusOr<std::string> answer = HttpGet(port(), "/metrics");
    EXPECT_OK(answer);
    EXPECT_THAT(*answer, ::testing::StartsWith("HTTP/1.1 200 OK"));
    return answer->substr(answer->find("\r\n\r\n") + 4);
  }
  // Of the series `name`, labels included; -1 when there is none.
  static double ValueOf(const std::string& metrics, const std::string& name) {
    double value = -1;
    for (const absl::string_view line : absl::StrSplit(metrics, '\n')) {
      if (!absl::StartsWith(line, name + " ")) continue;
      EXPECT_TRUE(absl::SimpleAtod(line.substr(name.size() + 1), &value)) << line;
    }
    return value;
  }

  static TestDaemons* daemons_;
};

TestDaemons* MetricsE2eTest::daemons_ = nullptr;

TEST_F(MetricsE2eTest, ARequestAndItsFeedbackShow) {
  const std::string before = Scrape();
  const absl::StatusOr<Answer> completed =
      daemons_->client().Complete(GreedyRequest("metrics of one request", 5));
  ASSERT_OK(completed);
  const Answer& answer = *completed;
  ASSERT_OK(daemons_->client().SubmitFeedback(
      CorrectionOf(answer.final.completion_id(), "key", "another text")));
  const std::string after = Scrape();
  const auto grew = [&](const std::string& name) {
    EXPECT_GE(ValueOf(before, name), 0) << name << "\n" << before;
    return ValueOf(after, name) - ValueOf(before, name);
  };
  const auto tokens = static_cast<double>(answer.final.usage().completion_tokens());
  EXPECT_EQ(grew("alchemist_generation_tokens_total"), tokens);
  EXPECT_EQ(grew("alchemist_prompt_tokens_total"),
            static_cast<double>(answer.final.usage().prompt_tokens()));
  EXPECT_EQ(grew("alchemist_time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(grew("alchemist_time_per_output_token_seconds_count"), tokens > 1 ? 1 : 0);
  EXPECT_EQ(grew("alchemist_e2e_request_latency_seconds_count"), 1);
  EXPECT_GT(grew("alchemist_e2e_request_latency_seconds_sum"),
            grew("alchemist_time_to_first_token_seconds_sum"));
  EXPECT_EQ(grew("alchemist_request_queue_time_seconds_count"), 1);
  EXPECT_GE(grew("alchemist_engine_step_seconds_count"), tokens);
  EXPECT_EQ(grew("alchemist_requests_recorded_total"), 1);
  EXPECT_EQ(grew("alchemist_records{state=\"sealed\"}"), 1);
  EXPECT_GT(grew("alchemist_record_bytes{state=\"sealed\",tier=\"device\"}"), 0);
  EXPECT_EQ(grew("alchemist_feedback_total{disposition=\"queued\"}"), 1);
  EXPECT_EQ(grew("alchemist_feedback_unfinished"), 1);
  EXPECT_GT(grew("alchemist_serving_busy_seconds_total"), 0);
  EXPECT_THAT(after, Not(HasSubstr(answer.request_id)));
  EXPECT_THAT(after, Not(HasSubstr(answer.final.completion_id())));
}

TEST_F(MetricsE2eTest, PausesAreCounted) {
  ASSERT_OK(daemons_->client().PauseTraining());
  const std::string paused = Scrape();
  EXPECT_EQ(ValueOf(paused, "alchemist_training_paused"), 1);
  const std::string later = Scrape();
  EXPECT_GT(ValueOf(later, "alchemist_training_paused_seconds_total"),
            ValueOf(paused, "alchemist_training_paused_seconds_total"));
  ASSERT_OK(daemons_->client().ResumeTraining());
  EXPECT_EQ(ValueOf(Scrape(), "alchemist_training_paused"), 0);
}

TEST_F(MetricsE2eTest, OtherPathsAreNotFound) {
  const absl::StatusOr<std::string> answer = HttpGet(port(), "/");
  ASSERT_OK(answer);
  EXPECT_THAT(*answer, ::testing::StartsWith("HTTP/1.1 404"));
}

TEST_F(MetricsE2eTest, PromtoolFindsNothingToSay) {
  if (std::system("command -v promtool >/dev/null") != 0) {
    GTEST_SKIP() << "promtool is not installed (Debian's package prometheus has it)";
  }
  const std::string file = ::testing::TempDir() + "/metrics";
  ASSERT_OK(ReplaceFile(file, Scrape()));
  const std::string problems = file + ".problems";
  const int status =
      std::system(absl::StrCat("promtool check metrics <", file, " >", problems, " 2>&1").c_str());
  const absl::StatusOr<std::string> text = ReadFile(problems, 1 << 20);
  ASSERT_OK(text);
  EXPECT_EQ(status, 0) << *text;
  EXPECT_EQ(*text, "");
}

TEST_F(MetricsE2eTest, ATakenPortIsNamed) {
  TestDaemons other(::testing::TempDir() + "/model");
  ASSERT_OK(other.SpawnServer({.flags = {absl::StrCat("--metrics_address=127.0.0.1:", port())}}));
  ASSERT_TRUE(other.server().WaitForExit(Daemons::kDeadlineUs));
  EXPECT_FALSE(other.server().exited_with(0));
  EXPECT_THAT(other.Logs(), HasSubstr("--metrics_address: cannot listen on 127.0.0.1:"));
}

TEST_F(MetricsE2eTest, NothingButOneLoopbackAddressIsListenedOn) {
  for (const std::string address :
       {"0.0.0.0:0", "127.0.0.1:0,0.0.0.0:0", "127.example.com:0", "127.0.0.1", "127.0.0.1:"}) {
    for (const char* flag : {"--metrics_address=", "--listen_address="}) {
      TestDaemons other(::testing::TempDir() + "/model");
      ASSERT_OK(other.SpawnServer({.flags = {flag + address}}));
      ASSERT_TRUE(other.server().WaitForExit(Daemons::kDeadlineUs));
      EXPECT_FALSE(other.server().exited_with(0));
      EXPECT_THAT(other.Logs(), HasSubstr("must be one loopback address")) << address;
    }
  }
}

}  // namespace
}  // namespace alchemist
