#include "tools/bench/conversations.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace alchemist {
namespace {

constexpr Conversations::Options kOptions = {
    .vocab = 100, .clients = 2, .turns = 3, .turn_tokens = 5, .answer_tokens = 2};

// Answers with as many tokens as are asked for, and says that all but five of a prompt were found.
class Server {
 public:
  absl::StatusOr<Answer> Complete(const v1::CompleteRequest& request) {
    MutexLock lock(&mutex_);
    const auto& ids = request.tokens().ids();
    prompts_[request.session_id()].emplace_back(ids.begin(), ids.end());
    Answer answer;
    answer.token_ids.assign(request.max_tokens(), 1000);
    answer.final.mutable_usage()->set_prompt_tokens(ids.size());
    answer.final.mutable_usage()->set_cached_tokens(ids.size() - 5);
    return answer;
  }
  Conversations::Complete Function() {
    return [this](const v1::CompleteRequest& request) { return Complete(request); };
  }
  // By session, in order.
  const std::map<std::string, std::vector<std::vector<int32_t>>>& prompts() const {
    return prompts_;
  }

 private:
  Mutex mutex_;  // Clients call at once.
  std::map<std::string, std::vector<std::vector<int32_t>>> prompts_;
};

absl::Status NoWait() { return absl::OkStatus(); }

TEST(ConversationsTest, APromptIsAllThatWasSaidAndNewText) {
  Server server;
  Conversations conversations(kOptions, server.Function());
  ASSERT_TRUE(conversations.Run(/*has_sessions=*/true, NoWait).ok());
  ASSERT_EQ(server.prompts().size(), 2u) << "a session each";
  for (const auto& [session, prompts] : server.prompts()) {
    EXPECT_NE(session, "");
    ASSERT_EQ(prompts.size(), 3u);
    for (size_t turn = 1; turn < prompts.size(); ++turn) {
      std::vector<int32_t> said = prompts[turn - 1];
      said.insert(said.end(), 2, 1000);
      ASSERT_EQ(prompts[turn].size(), said.size() + 5);
      EXPECT_EQ(std::vector<int32_t>(prompts[turn].begin(), prompts[turn].end() - 5), said);
    }
  }
}

TEST(ConversationsTest, NothingIsSaidTwiceAndNoSessionGoesOn) {
  Server server;
  Conversations conversations(kOptions, server.Function());
  ASSERT_TRUE(conversations.Run(/*has_sessions=*/true, NoWait).ok());
  ASSERT_TRUE(conversations.Run(/*has_sessions=*/true, NoWait).ok());
  EXPECT_EQ(server.prompts().size(), 4u);
  std::set<std::vector<int32_t>> first_texts;
  for (const auto& [session, prompts] : server.prompts()) first_texts.insert(prompts[0]);
  EXPECT_EQ(first_texts.size(), 4u);
}

TEST(ConversationsTest, HitsAreThoseOfAllTurns) {
  Server server;
  Conversations conversations(kOptions, server.Function());
  int64_t waits = 0;
  const auto hits = conversations.Run(/*has_sessions=*/false, [&] {
    ++waits;
    return absl::OkStatus();
  });
  ASSERT_TRUE(hits.ok()) << hits.status();
  EXPECT_EQ(waits, 2);
  ASSERT_EQ(server.prompts().size(), 1u);
  EXPECT_EQ(server.prompts().begin()->first, "");
  EXPECT_EQ(hits->prompt_tokens, 2 * (5 + 12 + 19));
  EXPECT_EQ(hits->cached_tokens, 2 * (0 + 7 + 14));
  EXPECT_DOUBLE_EQ(hits->share(), 42.0 / 72);
}

TEST(ConversationsTest, TheFirstErrorEndsThem) {
  int64_t turns = 0;
  Mutex mutex;
  Conversations failing(kOptions, [&](const v1::CompleteRequest&) -> absl::StatusOr<Answer> {
    MutexLock lock(&mutex);
    ++turns;
    return absl::UnavailableError("gone");
  });
  EXPECT_EQ(failing.Run(/*has_sessions=*/true, NoWait).status(), absl::UnavailableError("gone"));
  EXPECT_EQ(turns, 2) << "the first of each client";
  Server server;
  Conversations waiting(kOptions, server.Function());
  const auto hits =
      waiting.Run(/*has_sessions=*/true, [] { return absl::CancelledError("stopped"); });
  EXPECT_EQ(hits.status(), absl::CancelledError("stopped"));
}

}  // namespace
}  // namespace alchemist
