// When the client tries again, against a server that fails as it is told to. Nothing waits: the
// clock is moved by what the client would have slept.
#include "tools/client/alchemist_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/alchemist/v1/admin.grpc.pb.h"
#include "proto/alchemist/v1/completion.grpc.pb.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kTimeoutUs = 60'000'000;

// How one call fails.
struct Failure {
  grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE;
  std::string pushback_ms = {};  // "" sends none.
  bool after_chunk = false;      // Of Complete.
};

// Calls fail as FailBy says, in order; those after them succeed. gRPC's threads call it.
class FailingService final : public v1::CompletionService::Service,
                             public v1::AdminService::Service {
 public:
  grpc::Status Complete(grpc::ServerContext* context, const v1::CompleteRequest*,
                        grpc::ServerWriter<v1::CompleteResponse>* writer) override {
    const auto [call, failure] = Next(*context);
    v1::CompleteResponse started, chunk, last_chunk, end;
    started.mutable_started()->set_request_id(absl::StrCat("req-", call));
    chunk.mutable_chunk()->set_text("ans");
    last_chunk.mutable_chunk()->set_text("wer");
    end.mutable_final()->set_completion_id("cmpl-1");
    writer->Write(started);
    // Held back, so that all of it comes to the client together with the call's status.
    const grpc::WriteOptions held_back = grpc::WriteOptions().set_buffer_hint();
    if (!failure.has_value() || failure->after_chunk) {
      writer->Write(chunk, held_back);
      writer->Write(last_chunk, held_back);
    }
    if (!failure.has_value()) writer->Write(end, held_back);
    return StatusOf(failure, *context);
  }

  grpc::Status Inspect(grpc::ServerContext* context, const v1::InspectRequest*,
                       v1::InspectResponse* response) override {
    response->set_text("text");
    return StatusOf(Next(*context).second, *context);
  }

  void FailBy(std::deque<Failure> failures) {
    MutexLock lock(&mutex_);
    failures_ = std::move(failures);
  }
  // One for each call so far: until its deadline.
  std::vector<int64_t> seconds_left() const {
    MutexLock lock(&mutex_);
    return seconds_left_;
  }
  int64_t calls() const { return static_cast<int64_t>(seconds_left().size()); }
  int64_t connections() const {  // That calls came by.
    MutexLock lock(&mutex_);
    return static_cast<int64_t>(peers_.size());
  }

 private:
  // Counts the call; returns which one it is, and how it fails.
  std::pair<size_t, std::optional<Failure>> Next(const grpc::ServerContext& context) {
    MutexLock lock(&mutex_);
    peers_.insert(context.peer());
    seconds_left_.push_back(std::chrono::duration_cast<std::chrono::seconds>(
                                context.deadline() - std::chrono::system_clock::now())
                                .count());
    if (failures_.empty()) return {seconds_left_.size(), std::nullopt};
    const Failure failure = failures_.front();
    failures_.pop_front();
    return {seconds_left_.size(), failure};
  }

  static grpc::Status StatusOf(const std::optional<Failure>& failure,
                               grpc::ServerContext& context) {
    if (!failure.has_value()) return grpc::Status::OK;
    if (!failure->pushback_ms.empty()) {
      context.AddTrailingMetadata("grpc-retry-pushback-ms", failure->pushback_ms);
    }
    return grpc::Status(failure->code, "told to fail");
  }

  mutable Mutex mutex_;
  std::deque<Failure> failures_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> seconds_left_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> peers_ ABSL_GUARDED_BY(mutex_);
};

class AlchemistClientTest : public testing::Test {
 protected:
  AlchemistClientTest() {
    StartServer();
    options_.timeout_us = kTimeoutUs;
    options_.clock = &clock_;
    options_.wait = [this](int64_t us) {
      waits_us_.push_back(us);
      clock_.AdvanceUs(us);
    };
  }

  void StartServer() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(static_cast<v1::CompletionService::Service*>(&service_));
    builder.RegisterService(static_cast<v1::AdminService::Service*>(&service_));
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    port_ = port;
  }

  std::unique_ptr<AlchemistClient> Client() const {
    return AlchemistClient::Create(absl::StrCat("127.0.0.1:", port_), options_);
  }

  FailingService service_;
  ManualClock clock_;
  std::vector<int64_t> waits_us_;
  AlchemistClient::Options options_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(AlchemistClientTest, ACallIsTriedAgainAsOftenAsAllowed) {
  options_.retries_max = 2;
  service_.FailBy({{}, {}});
  const auto text = Client()->Inspect("store");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, "text");
  EXPECT_EQ(service_.calls(), 3);
  ASSERT_EQ(waits_us_.size(), 2u);
  EXPECT_LE(waits_us_[0], 50'000);
  EXPECT_GE(waits_us_[1], 50'000) << "twice as long";
  service_.FailBy({{}, {}, {}});
  const absl::Status status = Client()->Inspect("store").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(service_.calls(), 6);
}

TEST_F(AlchemistClientTest, WhatCannotPassIsNotTriedAgain) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::RESOURCE_EXHAUSTED}) {
    service_.FailBy({{.code = code}});
    EXPECT_EQ(Client()->Inspect("store").status().code(), static_cast<absl::StatusCode>(code));
  }
  EXPECT_EQ(service_.calls(), 2);
  EXPECT_THAT(waits_us_, ElementsAre());
}

TEST_F(AlchemistClientTest, AFullServerIsGivenTheTimeThatItAsksFor) {
  service_.FailBy({{.code = grpc::StatusCode::RESOURCE_EXHAUSTED, .pushback_ms = "1500"},
                   {.code = grpc::StatusCode::RESOURCE_EXHAUSTED, .pushback_ms = "300"}});
  std::vector<std::string> started;
  const auto answer = Client()->Complete(GreedyRequest("abc", 1), /*on_chunk=*/nullptr,
                                         [&](const std::string& id) { started.push_back(id); });
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->text, "answer");
  EXPECT_EQ(answer->request_id, "req-3");
  EXPECT_EQ(answer->final.completion_id(), "cmpl-1");
  EXPECT_THAT(started, ElementsAre("req-1", "req-2", "req-3"));
  EXPECT_THAT(waits_us_, ElementsAre(1'500'000, 300'000));
}

TEST_F(AlchemistClientTest, AnAnswerThatHasBegunIsNotBegunAgain) {
  service_.FailBy({{}, {.after_chunk = true}});
  std::string text;
  const auto answer =
      Client()->Complete(GreedyRequest("abc", 1), [&](const v1::CompletionChunk& chunk) {
        text += chunk.text();
        return true;
      });
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
  EXPECT_EQ(service_.calls(), 2) << "the first failed before its first chunk";
  EXPECT_EQ(text, "answer");
}

TEST_F(AlchemistClientTest, AllTriesEndByTheTimeout) {
  service_.FailBy({{.pushback_ms = "40000"}, {.pushback_ms = "30000"}});
  const absl::Status status = Client()->Inspect("store").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("told to fail"));
  EXPECT_THAT(waits_us_, ElementsAre(40'000'000)) << "no time for the second wait";
  const std::vector<int64_t> seconds_left = service_.seconds_left();
  ASSERT_EQ(seconds_left.size(), 2u);
  EXPECT_GE(seconds_left[0], 50);
  EXPECT_LE(seconds_left[1], 20) << "what the first try and the wait have left";
}

TEST_F(AlchemistClientTest, WithoutRetriesTheFirstStatusIsTheAnswer) {
  options_.retries_max = 0;
  service_.FailBy({{.pushback_ms = "100"}});
  EXPECT_EQ(Client()->Inspect("store").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(service_.calls(), 1);
  EXPECT_THAT(waits_us_, ElementsAre());
}

TEST_F(AlchemistClientTest, NothingIsTriedAgainOnceItMayNot) {
  service_.FailBy({{}, {}, {}});
  options_.may_retry = [this] { return waits_us_.size() < 2; };
  EXPECT_EQ(Client()->Inspect("store").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(service_.calls(), 2);
  EXPECT_EQ(waits_us_.size(), 2u);
}

TEST_F(AlchemistClientTest, ACallThatItsCallerEndsIsCancelledHoweverItEnded) {
  const auto client = Client();
  int64_t chunks = 0;
  const auto answer = client->Complete(GreedyRequest("abc", 1), [&](const v1::CompletionChunk&) {
    ++chunks;
    // What comes by the same connection after the answer's end: so that has come, too.
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(client->Inspect("store").ok());
    return false;
  });
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled) << answer.status();
  EXPECT_EQ(chunks, 1);
}

TEST_F(AlchemistClientTest, ATenantThatTheServerWouldNotTakeIsNotSent) {
  for (const std::string& bad : {std::string("\xc3\xbc"), std::string("a b"), std::string("a\n"),
                                 std::string(1, '\0'), std::string(129, 'a')}) {
    options_.tenant = bad;
    const auto client = Client();
    for (const absl::Status& status :
         {client->Complete(GreedyRequest("abc", 1)).status(), client->Inspect("store").status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_THAT(
          std::string(status.message()),
          AllOf(HasSubstr("alchemist-tenant"), HasSubstr(bad.size() > 128 ? "128" : "A-Z")));
    }
  }
  EXPECT_EQ(service_.calls(), 0);
  for (const std::string& good : {std::string("team-1.example_X"), std::string(128, 'a')}) {
    options_.tenant = good;
    EXPECT_TRUE(Client()->Inspect("store").ok()) << good;
  }
}

TEST_F(AlchemistClientTest, EachClientHasAConnectionOfItsOwn) {
  const auto one = Client(), other = Client();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(one->Inspect("store").ok());
    EXPECT_TRUE(other->Inspect("store").ok());
  }
  EXPECT_EQ(service_.connections(), 2);
}

// Tries are no use while the channel refuses them without connecting, which by itself it would do
// for 0.8 s at least. The shortest of three is what a machine that is busy leaves alone.
TEST_F(AlchemistClientTest, AServerThatComesBackIsFoundAtOnce) {
  options_.clock = Clock::Real();
  options_.retries_max = std::numeric_limits<int64_t>::max();
  options_.wait = [&](int64_t us) {
    waits_us_.push_back(us);
    if (waits_us_.size() == 2) StartServer();
  };
  int64_t shortest_us = kTimeoutUs;
  for (int i = 0; i < 3; ++i) {
    const auto client = Client();
    EXPECT_TRUE(client->Inspect("store").ok());
    waits_us_.clear();
    server_->Shutdown();
    server_.reset();
    const int64_t begin_us = Clock::Real()->MonotonicUs();
    const auto text = client->Inspect("store");
    EXPECT_TRUE(text.ok()) << text.status();
    EXPECT_GE(waits_us_.size(), 2u);
    shortest_us = std::min(shortest_us, Clock::Real()->MonotonicUs() - begin_us);
  }
  EXPECT_LT(shortest_us, 700'000);
}

}  // namespace
}  // namespace alchemist
