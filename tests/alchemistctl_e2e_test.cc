// What somebody at a terminal gets from alchemistctl, beside what its commands do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"
#include "tools/daemons/process.h"

namespace alchemist {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class AlchemistctlE2eTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_OK(WriteTestModel(ModelFamily::kLlama, ModelDirectory())); }
  static std::string ModelDirectory() { return ::testing::TempDir() + "/model"; }

  // Runs it to its end; returns all it printed.
  std::string Output(std::vector<std::string> arguments, int exit_code = 0) {
    Process::Options options;
    options.command = {ProgramPath("tools/alchemistctl"),
                       absl::StrCat("--server=127.0.0.1:", daemons_.port())};
    options.command.insert(options.command.end(), arguments.begin(), arguments.end());
    options.log_path =
        absl::StrCat(::testing::TempDir(), "/ctl-", daemons_.port(), "-", ++runs_, ".log");
    auto process = Process::Start(std::move(options));
    EXPECT_OK(process);
    if (!process.ok()) return "";
    EXPECT_TRUE((*process)->WaitForExit(TestDaemons::kDeadlineUs));
    EXPECT_TRUE((*process)->exited_with(exit_code)) << (*process)->Log();
    return (*process)->Log();
  }

  TestDaemons daemons_{ModelDirectory()};
  int runs_ = 0;
};

TEST_F(AlchemistctlE2eTest, TheSameWordsCountOnceAndOthersAreNewFeedback) {
  ASSERT_OK(daemons_.StartServer());
  const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(20, 1), 4));
  ASSERT_OK(answer);
  const std::string id = answer->final.completion_id();
  EXPECT_THAT(Output({"rate", id, "-1"}), Not(HasSubstr("DUPLICATE")));
  EXPECT_THAT(Output({"rate", id, "-1"}), AllOf(HasSubstr("DUPLICATE"), HasSubstr("counts once")));
  EXPECT_THAT(Output({"rate", id, "+1"}), Not(HasSubstr("DUPLICATE"))) << "a changed mind";
  EXPECT_THAT(Output({"correct", id, " right"}), Not(HasSubstr("DUPLICATE")));
  EXPECT_THAT(Output({"correct", id, " right"}), HasSubstr("DUPLICATE"));
  EXPECT_THAT(Output({"--key=mine", "correct", id, " right"}), Not(HasSubstr("DUPLICATE")));
  for (int i = 0; i < 2; ++i) {  // Who changes their mind has the last word, each time.
    for (const char* words : {" left", " right"}) {
      EXPECT_THAT(Output({"correct", id, words}), Not(HasSubstr("DUPLICATE"))) << i << words;
      EXPECT_THAT(Output({"correct", id, words}), HasSubstr("DUPLICATE")) << i << words;
    }
  }
  EXPECT_THAT(Output({"--key=mine", "rate", id, "+1"}, /*exit_code=*/1),
              HasSubstr("ALREADY_EXISTS"));
  const auto all = daemons_.client().ListFeedback();
  ASSERT_OK(all);
  EXPECT_EQ(all->size(), 8u);
}

TEST_F(AlchemistctlE2eTest, EveryCommandSaysWhatItDid) {
  ASSERT_OK(daemons_.StartServer());
  for (const char* command : {"pin", "unpin", "pause", "resume"}) {
    EXPECT_NE(Output({command}), "") << command;
  }
  EXPECT_THAT(Output({"status"}), HasSubstr("trainer"));
  EXPECT_THAT(Output({"model"}), HasSubstr("served_model_name: \"model\""));
  EXPECT_THAT(Output({"load"}), HasSubstr("running 0 of 16\nwaiting 0 of 256\n"));
  EXPECT_THAT(Output({"--interval_seconds=0.1", "--pages=2", "top"}),
              ContainsRegex("0 run, 0 wait;(.|\n)*trainer ABSENT(.|\n)*0 run, 0 wait;"));
  EXPECT_THAT(Output({"--interval_seconds=0", "top"}, /*exit_code=*/1),
              HasSubstr("--interval_seconds: must be from 0.1 to 3600"));
  EXPECT_THAT(Output({"--pages=-1", "top"}, /*exit_code=*/1),
              HasSubstr("--pages: must not be below 0; it is -1"));
  const auto tokens = daemons_.client().Tokenize("a text");
  ASSERT_OK(tokens);
  EXPECT_THAT(Output({"tokenize", "a text"}), HasSubstr(absl::StrJoin(*tokens, " ") + "\n"));
  EXPECT_THAT(Output({"abort", "req-none"}, /*exit_code=*/1), HasSubstr("req-none"));
  EXPECT_THAT(Output({"--tenant=not a name", "complete", "abc"}, /*exit_code=*/1),
              HasSubstr("alchemist-tenant"));
  EXPECT_THAT(Output({"--tenant=\xc3\xbc", "status"}, /*exit_code=*/1),
              HasSubstr("alchemist-tenant"));
  EXPECT_THAT(Output({"rollback", "x"}, /*exit_code=*/1),
              HasSubstr("a number from 0 on; it is 'x'"));
  EXPECT_THAT(Output({"no-such-command"}, /*exit_code=*/1),
              HasSubstr("no command 'no-such-command'; see --help"));
  EXPECT_THAT(Output({"rate", "cmpl-1"}, /*exit_code=*/1),
              HasSubstr("rate: arguments wanted: 2, given: 1; alchemistctl rate COMPLETION +1|-1"));
  EXPECT_THAT(Output({"correct", "cmpl-1", "not", "quoted"}, /*exit_code=*/1),
              HasSubstr("arguments wanted: 2, given: 3; alchemistctl correct COMPLETION TEXT"));
  EXPECT_THAT(Output({"status", "now"}, /*exit_code=*/1),
              HasSubstr("status: arguments wanted: 0, given: 1; alchemistctl status\n"));
}

TEST_F(AlchemistctlE2eTest, TopOutlivesAServerThatIsStartedAnew) {
  ASSERT_OK(daemons_.StartServer());
  const std::string address = absl::StrCat("127.0.0.1:", daemons_.port());
  auto started =
      Process::Start({.command = {ProgramPath("tools/alchemistctl"), "--server=" + address,
                                  "--interval_seconds=0.1", "top"},
                      .log_path = ::testing::TempDir() + "/top.log"});
  ASSERT_OK(started.status());
  Process& top = **started;
  // WaitFor would end with the server.
  const auto look = [&top](absl::string_view words) {
    while (!absl::StrContains(top.Log(), words) && !top.WaitForExit(/*timeout_us=*/20'000)) {
    }
    return top.Log();
  };
  EXPECT_THAT(look("0 run, 0 wait"), HasSubstr("0 run, 0 wait"));
  ASSERT_OK(daemons_.StopServer());
  const std::string before = look("UNAVAILABLE");
  ASSERT_THAT(before, HasSubstr("UNAVAILABLE"));
  ASSERT_TRUE(top.running()) << before;
  ASSERT_OK(daemons_.StartServer({.flags = {"--listen_address=" + address}}));
  EXPECT_OK(daemons_.WaitFor("the next page", [&] {
    return absl::StrContains(top.Log().substr(before.size()), "0 run, 0 wait");
  }));
  top.Signal(SIGINT);
  EXPECT_TRUE(top.WaitForExit(TestDaemons::kDeadlineUs));
  EXPECT_TRUE(top.killed_by(SIGINT)) << top.Log();
}

TEST_F(AlchemistctlE2eTest, DumpRecordShowsEveryTensorOfACompletionsRecord) {
  ASSERT_OK(daemons_.StartServer({.flags = {"--record=all"}}));
  const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(20, 1), 4));
  ASSERT_OK(answer);
  const auto store = daemons_.client().Inspect("store");
  ASSERT_OK(store);
  const auto model = daemons_.client().GetModelInfo();
  ASSERT_OK(model);
  const int64_t last = model->layers() - 1;

  const std::string text = Output({"dump-record", answer->final.completion_id()});
  EXPECT_THAT(text, HasSubstr("record 2 SEALED of an answer"));
  EXPECT_THAT(text, HasSubstr("tokens 23\nparent record 1, its first 20 tokens\npins 0 leases 0"));
  EXPECT_THAT(text, HasSubstr("tenant none\nadapter default revision 0 digest "));
  const auto line = [](int64_t layer, const char* tensor, int64_t rows) {
    return absl::StrFormat("\n +%d %s +%d +[0-9]+ f32 [^\n]* 0\n", layer, tensor, rows);
  };
  for (int64_t layer = 0; layer <= last; ++layer) {
    for (const char* tensor : {"k", "v"}) {
      EXPECT_THAT(text, ContainsRegex(line(layer, tensor, 23)));
    }
    for (const char* tensor : {"q", "attention", "lse", "h", "gate", "up"}) {
      EXPECT_THAT(text, ContainsRegex(line(layer, tensor, layer < last ? 23 : 4)));
    }
    if (layer == 0) continue;  // Its x is the embedding's rows, and not recorded.
    EXPECT_THAT(text, ContainsRegex(line(layer, "x", 23)));
  }
  EXPECT_THAT(text, ContainsRegex(line(last + 1, "x", 4)));
  EXPECT_THAT(Output({"dump-record", "1"}), HasSubstr("record 1 SEALED of a prompt\ntokens 20\n"));
  const auto after = daemons_.client().Inspect("store");
  ASSERT_OK(after);
  EXPECT_EQ(*after, *store) << "pins and leases are as before";
}

TEST_F(AlchemistctlE2eTest, DumpRecordNamesWhatIsNotThere) {
  ASSERT_OK(daemons_.StartServer());
  EXPECT_THAT(Output({"dump-record", "cmpl-none"}, /*exit_code=*/1),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("cmpl-none")));
  EXPECT_THAT(Output({"dump-record", "77"}, /*exit_code=*/1),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("no record 77")));
  EXPECT_THAT(Output({"dump-record", std::string(129, 'x')}, /*exit_code=*/1),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("129 bytes")));
}

TEST_F(AlchemistctlE2eTest, ARecordThatWasDumpedIsEvictedInItsTime) {
  ASSERT_OK(daemons_.StartServer({.flags = {"--record_ttl_seconds=1"}}));
  const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(20, 1), 4));
  ASSERT_OK(answer);
  const std::string id = answer->final.completion_id();
  absl::Status status;
  ASSERT_OK(daemons_.WaitFor("the record's end", [&] {
    status = daemons_.client().DumpRecord(id).status();
    return !status.ok();
  }));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(id), HasSubstr("record 1 is gone")));
}

}  // namespace
}  // namespace alchemist
