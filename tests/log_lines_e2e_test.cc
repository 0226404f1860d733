// What an operator finds in the daemons' logs: every line about a request or a feedback has its
// ids, and none has a tenant's name or a text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/tensor_view.h"
#include "model/config.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/alchemist_client.h"
#include "tools/client/requests.h"
#include "tools/daemons/process.h"

namespace alchemist {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTenant[] = "secret-tenant";
constexpr char kText[] = "Bropox is a painter";

class LogLinesE2eTest : public ::testing::Test {
 protected:
  // An answer of that length does not fit what lies between server and client: it cannot end before
  // the client cancels it.
  static constexpr int64_t kContext = 6000;

  static void SetUpTestSuite() {
    ASSERT_OK(WriteTestModel(ModelFamily::kLlama, ModelDirectory(), DType::kF32, kContext));
  }
  static std::string ModelDirectory() { return ::testing::TempDir() + "/model"; }
  std::unique_ptr<AlchemistClient> TenantClient() const {
    return AlchemistClient::Create(absl::StrCat("127.0.0.1:", daemons_.port()),
                                   {.tenant = kTenant});
  }
  std::vector<std::string> ServerLines() { return absl::StrSplit(daemons_.server().Log(), '\n'); }

  TestDaemons daemons_{ModelDirectory()};
};

TEST_F(LogLinesE2eTest, ARequestThatFinishesAndOneThatIsCancelledAreNamed) {
  ASSERT_OK(daemons_.StartServer({.wrapper = {"/usr/bin/env", "GLOG_v=1"}}));
  const auto client = TenantClient();
  v1::CompleteRequest request = GreedyRequest(kText, 4);
  const auto answer = client->Complete(request);
  ASSERT_OK(answer);
  std::string cancelled;
  request.set_max_tokens(kContext - 200);
  request.set_ignore_eos(true);
  const auto gone = client->Complete(
      request, [](const v1::CompletionChunk&) { return false; },
      [&](const std::string& request_id) { cancelled = request_id; });
  EXPECT_EQ(gone.status().code(), absl::StatusCode::kCancelled) << gone.status();
  ASSERT_OK(daemons_.WaitUntilNothingIsHeld());
  EXPECT_THAT(ServerLines(),
              Contains(AllOf(HasSubstr(absl::StrCat("request ", answer->request_id, " revision 0")),
                             HasSubstr(answer->final.completion_id()))));
  EXPECT_THAT(
      ServerLines(),
      Contains(HasSubstr(absl::StrCat("request ", cancelled, " revision 0 was cancelled"))));
  EXPECT_THAT(daemons_.server().Log(), Not(HasSubstr(kTenant)));
  EXPECT_THAT(daemons_.server().Log(), Not(HasSubstr("Bropox")));
}

TEST_F(LogLinesE2eTest, AFeedbackIsNamedOnItsWayThroughBothDaemons) {
  ASSERT_OK(daemons_.StartServer({.wrapper = {"/usr/bin/env", "GLOG_v=1"}}));
  ASSERT_OK(daemons_.StartTrainer({.wrapper = {"/usr/bin/env", "GLOG_v=1"}}));
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  const auto client = TenantClient();
  const auto answer = client->Complete(GreedyRequest(kText, 4));
  ASSERT_OK(answer);
  const std::string completion_id = answer->final.completion_id();
  const auto added = client->SubmitFeedback(CorrectionOf(completion_id, "key", kText));
  ASSERT_OK(added);
  const std::string feedback_id = added->feedback_id();
  ASSERT_OK(daemons_.WaitForServed({feedback_id}));
  const auto unknown = client->SubmitFeedback(CorrectionOf("cmpl-\n", "key", kText));
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound) << unknown.status();

  const std::string id = absl::StrCat("feedback ", feedback_id, " on completion ", completion_id);
  EXPECT_THAT(ServerLines(), Contains(HasSubstr(id + " was accepted: DISPOSITION_RECORD_HELD")));
  EXPECT_THAT(ServerLines(), Contains(HasSubstr(id + " revision 0 is sent to session ")));
  EXPECT_THAT(ServerLines(),
              Contains(HasSubstr(absl::StrCat("feedback ", feedback_id, " at step"))));
  EXPECT_THAT(ServerLines(), Contains(HasSubstr("completion cmpl-\\n was refused: NOT_FOUND")));
  // The trainer hears of its publish after the clients can.
  EXPECT_OK(daemons_.WaitFor("the trainer's line", [&] {
    return daemons_.trainer().Log().find(" is revision 1\n") != std::string::npos;
  }));
  const std::string trainer = daemons_.trainer().Log();
  EXPECT_THAT(trainer, HasSubstr(id + " revision 0 made pass 1 at step "));
  EXPECT_THAT(trainer, ContainsRegex("publish [0-9]+ is revision 1\n"));
  for (const std::string& log : {trainer, daemons_.server().Log()}) {
    EXPECT_THAT(log, Not(HasSubstr(kTenant)));
    EXPECT_THAT(log, Not(HasSubstr("Bropox")));
  }
}

// The server's files may not grow any more, as on a full disk: the request is served.
TEST_F(LogLinesE2eTest, ACompletionThatIsNotLoggedIsNamedWithItsRequest) {
  ASSERT_OK(daemons_.StartServer({.wrapper = {"/usr/bin/env", "--ignore-signal=XFSZ"}}));
  const rlimit limit = {.rlim_cur = 32 << 10, .rlim_max = 32 << 10};
  ASSERT_EQ(prlimit(daemons_.server().pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
  const auto answer = daemons_.client().Complete(GreedyRequest(kText, 4));
  ASSERT_OK(answer);
  ASSERT_OK(daemons_.WaitFor("the line", [&] {
    return daemons_.server().Log().find("was not logged") != std::string::npos;
  }));
  EXPECT_OK(daemons_.WaitFor("the count", [&] {
    const auto status = daemons_.client().GetStatus();
    return status.ok() && status->completions_not_logged() == 1;
  }));
  EXPECT_THAT(
      ServerLines(),
      Contains(HasSubstr(absl::StrCat("completion ", answer->final.completion_id(), " of request ",
                                      answer->request_id, " revision 0 was not logged"))));
}

}  // namespace
}  // namespace alchemist
