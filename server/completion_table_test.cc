#include "server/completion_table.h"

#include "gtest/gtest.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

TEST(CompletionTableTest, KeepsEveryByteOfARowOverARestart) {
  const std::string directory = FreshDirectory();
  CompletionRow completion = TestCompletion("cmpl-1");
  completion.tenant = "tenant";
  completion.finish_reason = FinishReason::kLength;
  ASSERT_TRUE(AddCompletion(OpenLog(directory).get(), completion).ok());

  auto log = OpenLog(directory);
  const absl::Status status = Transact(log.get(), [&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(const CompletionRow found, l.completions().Find("cmpl-1"));
    EXPECT_EQ(found.completion_id, completion.completion_id);
    EXPECT_EQ(found.tenant, completion.tenant);
    EXPECT_EQ(found.base, completion.base);
    EXPECT_EQ(found.revision, completion.revision);
    EXPECT_EQ(found.prompt_tokens, completion.prompt_tokens);
    EXPECT_EQ(found.response_tokens, completion.response_tokens);
    EXPECT_EQ(found.log_probs, completion.log_probs);
    EXPECT_EQ(found.finish_reason, completion.finish_reason);
    EXPECT_EQ(found.created_unix_us, completion.created_unix_us);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CompletionTableTest, KeepsAnEmptyAnswer) {
  auto log = OpenLog(FreshDirectory());
  CompletionRow completion = TestCompletion("cmpl-1");
  completion.response_tokens.clear();
  completion.log_probs.clear();
  ASSERT_TRUE(AddCompletion(log.get(), completion).ok());
  const absl::Status status = Transact(log.get(), [&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(const CompletionRow found, l.completions().Find("cmpl-1"));
    EXPECT_TRUE(found.response_tokens.empty());
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CompletionTableTest, RefusesWhatDoesNotFit) {
  auto log = OpenLog(FreshDirectory());
  CompletionRow completion = TestCompletion("cmpl-1");
  ASSERT_TRUE(AddCompletion(log.get(), completion).ok());
  EXPECT_EQ(AddCompletion(log.get(), completion).code(), absl::StatusCode::kAlreadyExists);
  completion.completion_id = "cmpl-2";
  completion.log_probs.pop_back();
  EXPECT_EQ(AddCompletion(log.get(), completion).code(), absl::StatusCode::kInvalidArgument);
  const absl::Status absent =
      Transact(log.get(), [](FeedbackLog& l) { return l.completions().Find("cmpl-2").status(); });
  EXPECT_EQ(absent.code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace alchemist
