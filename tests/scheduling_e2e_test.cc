// How the running server shares itself among clients: who is ended frees its place at once, a full
// queue says when to come back, and a client that does not read stops nobody else.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/alchemist/v1/completion.grpc.pb.h"
#include "server/retry_pushback.h"
#include "tests/assert_ok.h"
#include "tests/raw_call.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// So long that no answer ends by itself in the time of a test.
constexpr int64_t kLongAnswer = 30'000;
constexpr int64_t kPromptlyUs = 3'000'000;

class SchedulingE2eTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string model = ::testing::TempDir() + "/model";
    ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, model, DType::kF32, /*context=*/1 << 15));
    daemons_ = new TestDaemons(model);
    ASSERT_OK(daemons_->StartServer(
        {.flags = {"--running_max=2", "--waiting_max=2", "--serving_kv_bytes=50331648"}}));
  }
  static void TearDownTestSuite() {
    ASSERT_OK(daemons_->StopServer());
    delete daemons_;
  }
  void TearDown() override { EXPECT_OK(daemons_->WaitUntilNothingIsHeld()); }

  static AlchemistClient& client() { return daemons_->client(); }
  static std::unique_ptr<AlchemistClient> ClientWith(AlchemistClient::Options options) {
    options.retries_max = 0;  // What the server says is what is tested.
    return AlchemistClient::Create(absl::StrCat("127.0.0.1:", daemons_->port()), options);
  }
  static void ExpectSoon(const std::string& what, int64_t running, int64_t waiting) {
    EXPECT_OK(daemons_->WaitFor(
        what,
        [&] {
          const auto status = client().GetStatus();
          return status.ok() && status->requests_running() == running &&
                 status->requests_waiting() == waiting;
        },
        kPromptlyUs));
  }

  // A call that runs until it is aborted. `started` is its request's id.
  struct LongCall {
    std::future<std::string> started;
    std::future<absl::Status> ended;
  };
  static LongCall StartLongCall(const std::string& tenant = "") {
    auto promise = std::make_shared<std::promise<std::string>>();
    LongCall call;
    call.started = promise->get_future();
    call.ended = std::async(std::launch::async, [promise, tenant] {
      bool started = false;
      const auto answer = ClientWith({.tenant = tenant})
                              ->Complete(GreedyRequest("long", kLongAnswer), /*on_chunk=*/nullptr,
                                         [&](const std::string& id) {
                                           promise->set_value(id);
                                           started = true;
                                         });
      if (!started) promise->set_value("");
      return answer.status();
    });
    return call;
  }

  // `count` of them, each begun when the one before it has its id, which is added to `ids`.
  static std::vector<LongCall> StartLongCalls(int count, const std::string& tenant,
                                              std::vector<std::string>& ids) {
    std::vector<LongCall> calls;
    while (static_cast<int>(calls.size()) < count) {
      LongCall call = StartLongCall(tenant);
      const std::string id = call.started.get();
      if (id.empty()) continue;  // Those before it come into their places with the next step.
      calls.push_back(std::move(call));
      ids.push_back(id);
    }
    return calls;
  }

  static TestDaemons* daemons_;
};

TestDaemons* SchedulingE2eTest::daemons_ = nullptr;

TEST_F(SchedulingE2eTest, AbortEndsWhatRunsAndWhatWaits) {
  std::vector<std::string> ids;
  std::vector<LongCall> calls = StartLongCalls(3, "team-1", ids);
  ExpectSoon("two to run and one to wait", 2, 1);
  const auto requests = client().Inspect("requests");
  ASSERT_OK(requests);
  EXPECT_THAT(*requests, HasSubstr(absl::StrCat("running ", ids[0], " tenant \"team-1\"")));
  EXPECT_THAT(*requests, HasSubstr(absl::StrCat("waiting ", ids[2], " tenant \"team-1\"")));
  EXPECT_THAT(*client().Abort(ids), ElementsAre()) << "they are another tenant's";
  ids.push_back("req-unknown");
  const auto aborted = ClientWith({.tenant = "team-1"})->Abort(ids);
  ASSERT_OK(aborted);
  EXPECT_EQ(aborted->size(), 3u);
  for (LongCall& call : calls) {
    const absl::Status status = call.ended.get();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("Abort"));
  }
  ExpectSoon("their places to be free", 0, 0);
  EXPECT_EQ(client().Abort(std::vector<std::string>(1025, "x")).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(SchedulingE2eTest, ADeadlineFreesAPlaceWhetherItRunsOrWaits) {
  const auto late = [] {
    return ClientWith({.timeout_us = 300'000})->Complete(GreedyRequest("late", kLongAnswer));
  };
  EXPECT_EQ(late().status().code(), absl::StatusCode::kDeadlineExceeded);
  ExpectSoon("its place to be free", 0, 0);
  LongCall first = StartLongCall(), second = StartLongCall();
  const std::vector<std::string> ids = {first.started.get(), second.started.get()};
  EXPECT_EQ(late().status().code(), absl::StatusCode::kDeadlineExceeded);
  ExpectSoon("its place in the queue to be free", 2, 0);
  EXPECT_OK(client().Abort(ids));
}

TEST_F(SchedulingE2eTest, AFullQueueSaysWhenToComeBackAndTakesOtherTenantsIn) {
  std::vector<std::string> ids;
  std::vector<LongCall> calls = StartLongCalls(4, "", ids);
  ExpectSoon("a full queue", 2, 2);
  const absl::Status refused = client().Complete(GreedyRequest("one more", 1)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  ASSERT_TRUE(RetryPushbackMs(refused).has_value()) << refused;
  EXPECT_GE(*RetryPushbackMs(refused), QueuePace::kPushbackMinMs);

  LongCall other = StartLongCall("other");
  const std::string other_id = other.started.get();
  const absl::Status gone = calls.back().ended.get();
  EXPECT_EQ(gone.code(), absl::StatusCode::kResourceExhausted) << "the last one of who has most";
  EXPECT_TRUE(RetryPushbackMs(gone).has_value()) << gone;
  EXPECT_OK(client().Abort(ids));
  EXPECT_OK(ClientWith({.tenant = "other"})->Abort({other_id}));
  EXPECT_EQ(other.ended.get().code(), absl::StatusCode::kCancelled);
  EXPECT_GE(client().GetStatus()->requests_refused(), 2);
}

TEST_F(SchedulingE2eTest, AClientThatTriesAgainWaitsAsLongAsItIsTold) {
  std::vector<std::string> ids;
  std::vector<LongCall> calls = StartLongCalls(4, "", ids);
  ExpectSoon("a full queue", 2, 2);
  std::vector<int64_t> waits_us;
  AlchemistClient::Options options;
  options.wait = [&](int64_t us) {  // In this time the others end.
    waits_us.push_back(us);
    EXPECT_OK(client().Abort(ids));
    ExpectSoon("their places to be free", 0, 0);
  };
  const auto patient =
      AlchemistClient::Create(absl::StrCat("127.0.0.1:", daemons_->port()), options);
  EXPECT_OK(patient->Complete(GreedyRequest("one more", 1)));
  ASSERT_EQ(waits_us.size(), 1u);
  EXPECT_GE(waits_us[0], QueuePace::kPushbackMinMs * 1000);
}

TEST_F(SchedulingE2eTest, ATenantWithABadNameIsRefused) {
  for (const std::string& bad : {std::string(129, 'a'), std::string("a b")}) {
    // Past our client, which refuses it itself.
    for (const char* method : {"Complete", "Abort"}) {
      const absl::Status status =
          RawCall(daemons_->port(), absl::StrCat("/alchemist.v1.CompletionService/", method), "",
                  {{"alchemist-tenant", bad}})
              .status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("alchemist-tenant"));
    }
  }
}

TEST_F(SchedulingE2eTest, AClientThatDoesNotReadStopsItsOwnRequestAlone) {
  grpc::ClientContext context;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // Which lets a client take megabytes unread.
  const auto stub = v1::CompletionService::NewStub(grpc::CreateCustomChannel(
      absl::StrCat("127.0.0.1:", daemons_->port()), grpc::InsecureChannelCredentials(), arguments));
  v1::CompleteRequest request = GreedyRequest("slow", kLongAnswer);
  request.set_top_logprobs(20);
  const auto stream = stub->Complete(&context, request);
  v1::CompleteResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.has_started());
  // Others come and go while its answer fills what the connection and the stream take, and stops.
  constexpr int kQuietPolls = 40;  // No step of the test's model takes that long.
  std::string before;
  int quiet = 0;
  EXPECT_OK(daemons_->WaitFor("its answer to stop", [&] {
    const std::string now = *client().Inspect("steps");
    quiet = now == std::exchange(before, now) ? quiet + 1 : 0;
    return quiet == kQuietPolls;
  }));
  EXPECT_EQ(client().GetStatus()->requests_running(), 1) << "it has not ended";
  EXPECT_OK(client().Complete(GreedyRequest("quick", 5)));
  context.TryCancel();
  ExpectSoon("its place to be free", 0, 0);
}

}  // namespace
}  // namespace alchemist
