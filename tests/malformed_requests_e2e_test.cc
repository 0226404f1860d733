// Requests that no honest client makes, of every method that the running server has: each is
// refused with a status that says so, costs the server next to nothing, and changes no answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/random.h"
#include "proto/alchemist/v1/admin.pb.h"
#include "proto/alchemist/v1/completion.pb.h"
#include "proto/alchemist/v1/feedback.pb.h"
#include "proto/alchemist/v1/model.pb.h"
#include "tests/assert_ok.h"
#include "tests/process_memory.h"
#include "tests/raw_call.h"
#include "tests/sanitized.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

using absl::StatusCode;
using ::testing::AnyOf;

constexpr int64_t kMessageBytesMax = 4 << 20;  // As in server_main.cc.
constexpr int64_t kMemoryGrowthMax = 16 << 20;
constexpr int64_t kRefusalUsMax = 100'000;

class MalformedRequestsE2eTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string model = ::testing::TempDir() + "/model";
    ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, model));
    daemons_ = new TestDaemons(model);
    ASSERT_OK(daemons_->StartServer());
    answer_ = new Answer(*daemons_->client().Complete(GreedyRequest("Once upon", 20)));
  }
  static void TearDownTestSuite() {
    ASSERT_OK(daemons_->StopServer());
    delete answer_;
    delete daemons_;
  }
  // Whatever a test sent, the server holds nothing of it and answers as before.
  void TearDown() override {
    EXPECT_OK(daemons_->WaitUntilNothingIsHeld());
    const auto answer = daemons_->client().Complete(GreedyRequest("Once upon", 20));
    ASSERT_OK(answer);
    EXPECT_EQ(answer->token_ids, answer_->token_ids);
    EXPECT_EQ(answer->text, answer_->text);
  }

  static AlchemistClient& client() { return daemons_->client(); }
  static int64_t ServerMemory() { return ResidentBytes(daemons_->server().pid()); }
  static absl::Status Call(const std::string& method, const std::string& message,
                           const std::multimap<std::string, std::string>& metadata = {}) {
    return RawCall(daemons_->port(), method, message, metadata).status();
  }

  static std::vector<std::string> Methods() {
    absl::StatusOr<std::vector<std::string>> methods = ListMethods(daemons_->port());
    EXPECT_OK(methods);
    return *std::move(methods);
  }

  static TestDaemons* daemons_;
  static Answer* answer_;
};

TestDaemons* MalformedRequestsE2eTest::daemons_ = nullptr;
Answer* MalformedRequestsE2eTest::answer_ = nullptr;

TEST_F(MalformedRequestsE2eTest, BytesThatAreNoMessageAreInvalidArguments) {
  const auto methods = Methods();
  EXPECT_GE(methods.size(), 16u);
  const std::string groups(10'000, '\x0b');
  const std::vector<std::string> no_messages = {
      "\xff",                                    // Half a tag.
      std::string("\0", 1),                      // The field 0.
      "\x0a\x7fx",                               // Longer than the message.
      "\x0c",                                    // The end of a group that did not begin.
      groups,                                    // Groups that do not end.
      "\x0d\x01",                                // Half a number,
      "\x08" + std::string(11, '\xff') + "\x01"  // and one of too many bytes.
  };
  for (const std::string& method : methods) {
    for (const std::string& bytes : no_messages) {
      const absl::Status status = Call(method, bytes);
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument)
          << method << " " << bytes.size() << " bytes: " << status;
    }
  }
}

TEST_F(MalformedRequestsE2eTest, AnyBytesGetAStatusThatBlamesTheCaller) {
  Random random(15);
  for (const std::string& method : Methods()) {
    for (int run = 0; run < 40; ++run) {
      // Small field numbers and lengths, so that some of it is a message.
      std::string bytes;
      for (int64_t size = random.Below(20); size >= 0; --size) {
        bytes.push_back(static_cast<char>(random.Below(random.Below(2) == 0 ? 256 : 24)));
      }
      EXPECT_THAT(Call(method, bytes).code(),
                  AnyOf(StatusCode::kOk, StatusCode::kInvalidArgument, StatusCode::kNotFound))
          << method << " run " << run;
    }
  }
  EXPECT_OK(client().ResumeTraining());
}

TEST_F(MalformedRequestsE2eTest, AMessageAboveTheLimitIsRefusedAndNotKept) {
  // The message's header says how long it is: its bytes are not waited for.
  const std::string oversize(kMessageBytesMax + 1, '\0');
  const auto methods = Methods();
  EXPECT_EQ(Call(methods[0], oversize).code(), StatusCode::kResourceExhausted);
  const int64_t before = ServerMemory();
  for (const std::string& method : methods) {
    const absl::Status status = Call(method, oversize);
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << method << " " << status;
  }
  ExpectMemoryBelow(before + kMemoryGrowthMax, daemons_->server().pid());
}

// A message within the limit that fills one of its fields.
struct Filled {
  const char* field;
  std::string method;
  std::string message;
  StatusCode code = StatusCode::kInvalidArgument;
};

std::vector<Filled> FilledCompleteRequests() {
  const std::string complete = "/alchemist.v1.CompletionService/Complete";
  constexpr int kMany = 100'000;
  std::vector<Filled> filled;
  const auto add = [&](const char* field, const v1::CompleteRequest& request) {
    filled.push_back({field, complete, request.SerializeAsString()});
  };
  add("prompt of 2^20 tokens", GreedyRequest(std::vector<int32_t>(1 << 20, 7), 1));
  add("prompt of 3 MiB", GreedyRequest(std::string(3 << 20, 'x'), 1));
  v1::CompleteRequest stop = GreedyRequest("abc", 1), bias = stop, stop_tokens = stop;
  for (int i = 0; i < kMany; ++i) {
    stop.add_stop("x");
    stop_tokens.add_stop_token_ids(1);
    (*bias.mutable_logit_bias())[i] = 1;
  }
  add("stop", stop);
  add("stop_token_ids", stop_tokens);
  add("logit_bias", bias);
  for (const int64_t n : {int64_t{-1}, int64_t{17}, INT64_MAX}) {
    v1::CompleteRequest request = GreedyRequest("abc", 1);
    request.set_n(n);
    add("n", request);
  }
  for (const int64_t tokens : {int64_t{-1}, int64_t{0}, INT64_MIN}) {
    add("max_tokens", GreedyRequest("abc", tokens));
  }
  const std::string name(1 << 20, 'n');
  v1::CompleteRequest session = GreedyRequest("abc", 1), adapter = session;
  session.set_session_id(name);
  add("session_id", session);
  adapter.set_adapter_id(name);
  add("adapter_id", adapter);
  return filled;
}

std::vector<Filled> FilledRequests() {
  std::vector<Filled> filled = FilledCompleteRequests();
  const std::string text(3 << 20, 'x');
  const auto add = [&](const char* method, const char* field,
                       const google::protobuf::Message& message, StatusCode code) {
    filled.push_back(
        {field, absl::StrCat("/alchemist.v1.", method), message.SerializeAsString(), code});
  };
  v1::AbortRequest abort;
  for (int i = 0; i < 100'000; ++i) abort.add_request_ids("x");
  add("CompletionService/Abort", "request_ids", abort, StatusCode::kInvalidArgument);
  v1::TokenizeRequest tokenize;
  tokenize.set_text(text);
  add("ModelService/Tokenize", "text", tokenize, StatusCode::kInvalidArgument);
  v1::DetokenizeRequest detokenize;
  detokenize.mutable_tokens()->Resize(1 << 20, 7);
  add("ModelService/Detokenize", "tokens", detokenize, StatusCode::kInvalidArgument);
  add("FeedbackService/SubmitFeedback", "correction", CorrectionOf("cmpl-1", "key", text),
      StatusCode::kInvalidArgument);
  add("FeedbackService/SubmitFeedback", "idempotency_key", RatingOf("cmpl-1", text, 1),
      StatusCode::kInvalidArgument);
  add("FeedbackService/SubmitFeedback", "completion_id", RatingOf(text, "key", 1),
      StatusCode::kInvalidArgument);
  v1::GetFeedbackRequest get;
  get.set_feedback_id(text);
  add("FeedbackService/GetFeedback", "feedback_id", get, StatusCode::kNotFound);
  v1::RollbackRequest rollback;
  rollback.set_number(UINT64_MAX);
  add("AdminService/Rollback", "number", rollback, StatusCode::kNotFound);
  rollback.set_adapter_id(text);
  add("AdminService/Rollback", "adapter_id", rollback, StatusCode::kNotFound);
  v1::InspectRequest inspect;
  inspect.set_name(text);
  add("AdminService/Inspect", "name", inspect, StatusCode::kNotFound);
  return filled;
}

TEST_F(MalformedRequestsE2eTest, AnOversizeFieldIsRefusedAtOnceAndNotKept) {
  const auto filled = FilledRequests();
  const int64_t before = ServerMemory();
  for (const Filled& request : filled) {
    int64_t least_us = INT64_MAX;
    for (int run = 0; run < 3; ++run) {
      const int64_t begin_us = Clock::Real()->MonotonicUs();
      const absl::Status status = Call(request.method, request.message);
      least_us = std::min(least_us, Clock::Real()->MonotonicUs() - begin_us);
      EXPECT_THAT(status.code(), AnyOf(request.code, StatusCode::kInvalidArgument))
          << request.field << " " << status;
      EXPECT_LE(status.message().size(), 1024u) << request.field;
    }
    if (kSanitized) continue;
    EXPECT_LT(least_us, kRefusalUsMax) << request.method << " " << request.field;
  }
  ExpectMemoryBelow(before + kMemoryGrowthMax, daemons_->server().pid());
}

TEST_F(MalformedRequestsE2eTest, MetadataAboveTheLimitIsRefusedAndNotKept) {
  std::multimap<std::string, std::string> many_keys;
  for (int i = 0; i < 100'000; ++i) many_keys.emplace(absl::StrCat("key-", i), "v");
  const std::multimap<std::string, std::string> large_value = {{"key", std::string(64 << 10, 'v')}};
  const int64_t before = ServerMemory();
  for (const std::string& method : Methods()) {
    absl::Status status = Call(method, "", large_value);
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << method << " " << status;
    // The server may end the connection while the client still sends keys.
    status = Call(method, "", many_keys);
    EXPECT_THAT(status.code(), AnyOf(StatusCode::kResourceExhausted, StatusCode::kUnavailable))
        << method << " " << status;
  }
  ExpectMemoryBelow(before + kMemoryGrowthMax, daemons_->server().pid());
}

}  // namespace
}  // namespace alchemist
