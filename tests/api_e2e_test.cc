// What a request may ask of the running server beyond one plain answer, as it comes over the wire.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/alchemist/v1/completion.grpc.pb.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

using ::testing::Each;
using ::testing::SizeIs;

class ApiE2eTest : public ::testing::Test {
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
  void TearDown() override { EXPECT_OK(daemons_->WaitUntilNothingIsHeld()); }

  // All messages of a call that must end well.
  static std::vector<v1::CompleteResponse> Call(const v1::CompleteRequest& request) {
    const auto stub = v1::CompletionService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", daemons_->port()), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const auto stream = stub->Complete(&context, request);
    std::vector<v1::CompleteResponse> responses;
    for (v1::CompleteResponse response; stream->Read(&response);) responses.push_back(response);
    const grpc::Status status = stream->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return responses;
  }
  static std::vector<int32_t> TokensOf(const std::vector<v1::CompleteResponse>& responses,
                                       int64_t index = 0) {
    std::vector<int32_t> tokens;
    for (const v1::CompleteResponse& response : responses) {
      const v1::CompletionChunk& chunk = response.chunk();
      if (chunk.index() != index) continue;
      tokens.insert(tokens.end(), chunk.token_ids().begin(), chunk.token_ids().end());
    }
    return tokens;
  }

  static TestDaemons* daemons_;
};

TestDaemons* ApiE2eTest::daemons_ = nullptr;

TEST_F(ApiE2eTest, EveryChoiceHasItsChunksAndThenItsFinal) {
  v1::CompleteRequest request = GreedyRequest(TestPrompt(70, 1), 12);
  request.set_temperature(1);
  request.set_seed(5);
  request.set_ignore_eos(true);
  request.set_n(3);
  const auto responses = Call(request);
  ASSERT_FALSE(responses.empty());
  EXPECT_TRUE(responses[0].has_started());
  std::set<int64_t> ended;
  std::set<std::string> ids;
  for (const v1::CompleteResponse& response : responses) {
    EXPECT_FALSE(response.has_chunk() && ended.contains(response.chunk().index()));
    if (!response.has_final()) continue;
    EXPECT_TRUE(ended.insert(response.final().index()).second);
    ids.insert(response.final().completion_id());
    EXPECT_EQ(response.final().usage().completion_tokens(), 12);
    EXPECT_TRUE(response.final().recorded());
  }
  EXPECT_EQ(ended, (std::set<int64_t>{0, 1, 2}));
  EXPECT_THAT(ids, SizeIs(3));
  EXPECT_TRUE(responses.back().has_final());
  for (int64_t index = 0; index < 3; ++index) {
    EXPECT_THAT(TokensOf(responses, index), SizeIs(12));
    v1::CompleteRequest alone = request;
    alone.clear_n();
    alone.set_seed(5 + static_cast<uint64_t>(index));
    EXPECT_EQ(TokensOf(Call(alone)), TokensOf(responses, index)) << "choice " << index;
  }
  // Each can be given feedback of its own.
  for (const std::string& id : ids) {
    EXPECT_OK(daemons_->client().SubmitFeedback(RatingOf(id, "rate " + id, 1)));
  }
}

TEST_F(ApiE2eTest, LogprobsOfPromptAndAlternativesComeAsAskedFor) {
  v1::CompleteRequest request = GreedyRequest(TestPrompt(30, 2), 5);
  request.set_logprobs(true);
  request.set_top_logprobs(3);
  request.set_prompt_logprobs(2);
  const auto responses = Call(request);
  ASSERT_GE(responses.size(), 3u);
  ASSERT_TRUE(responses[1].has_prompt_logprobs()) << responses[1].DebugString();
  const v1::PromptLogprobs& prompt = responses[1].prompt_logprobs();
  EXPECT_EQ(prompt.logprobs_size(), 29);
  EXPECT_EQ(prompt.top_logprobs_size(), 29);
  EXPECT_EQ(prompt.top_logprobs(28).token_ids_size(), 2);
  EXPECT_THAT(prompt.logprobs(), Each(testing::Lt(0)));
  const v1::CompletionChunk& chunk = responses[2].chunk();
  ASSERT_EQ(chunk.top_logprobs_size(), 1);
  EXPECT_EQ(chunk.top_logprobs(0).token_ids(0), chunk.token_ids(0)) << "it is greedy";
  EXPECT_EQ(chunk.top_logprobs(0).logprobs(0), chunk.logprobs(0));
}

TEST_F(ApiE2eTest, TheClientLibraryPutsEachChoiceTogether) {
  v1::CompleteRequest request = GreedyRequest(TestPrompt(70, 1), 12);
  request.set_temperature(1);
  request.set_seed(5);
  request.set_ignore_eos(true);
  request.set_n(3);
  request.set_top_logprobs(2);
  request.set_prompt_logprobs(0);
  const auto answer = daemons_->client().Complete(request);
  ASSERT_OK(answer);
  const auto responses = Call(request);
  EXPECT_EQ(answer->prompt_logprobs.logprobs_size(), 69);
  EXPECT_THAT(answer->top_logprobs, SizeIs(12));
  EXPECT_EQ(answer->token_ids, TokensOf(responses, 0));
  ASSERT_THAT(answer->others, SizeIs(2));
  for (int64_t index : {1, 2}) {
    EXPECT_EQ(answer->others[index - 1].token_ids, TokensOf(responses, index));
    EXPECT_EQ(answer->others[index - 1].final.index(), index);
  }
}

TEST_F(ApiE2eTest, BiasAndStopTokensSteerAnAnswer) {
  v1::CompleteRequest request = GreedyRequest(TestPrompt(20, 3), 10);
  request.set_ignore_eos(true);
  (*request.mutable_logit_bias())[7] = 100;
  EXPECT_THAT(TokensOf(Call(request)), Each(7));
  request.add_stop_token_ids(7);
  const auto stopped = Call(request);
  EXPECT_EQ(TokensOf(stopped), std::vector<int32_t>{7});
  EXPECT_EQ(stopped.back().final().finish_reason(), v1::FINISH_REASON_STOP);
  request.set_min_tokens(4);
  const auto later = TokensOf(Call(request));
  ASSERT_THAT(later, SizeIs(5)) << "four, and what ends it";
  EXPECT_EQ(later.back(), 7);
}

TEST_F(ApiE2eTest, UsageSaysWhatWasFoundRecorded) {
  v1::CompleteRequest request = GreedyRequest(TestPrompt(200, 4), 3);
  EXPECT_EQ(Call(request).back().final().usage().cached_tokens(), 0);
  const auto again = Call(request).back().final();
  EXPECT_EQ(again.usage().cached_tokens(), 192);
  EXPECT_EQ(again.usage().prompt_tokens(), 200);
}

}  // namespace
}  // namespace alchemist
