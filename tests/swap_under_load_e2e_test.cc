// Revisions are swapped in while clients keep asking: no request fails, every answer names the
// revision that made it, and one revision always gives one prompt the same answer.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

constexpr int kClients = 3;
constexpr uint64_t kPrompts = 4;
constexpr uint64_t kRevisions = 5;  // Published while they ask.

TEST(SwapUnderLoadE2eTest, NoRequestFailsAndEveryAnswerIsItsRevisions) {
  const std::string model = ::testing::TempDir() + "/model";
  ASSERT_OK(WriteTestModel(ModelFamily::kMistral, model));
  TestDaemons daemons(model);
  ASSERT_OK(daemons.StartServer());
  ASSERT_OK(daemons.StartTrainer({.flags = {"--learning_rate=0.02"}}));
  ASSERT_OK(daemons.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));

  Mutex mutex;  // Guards `answers`, which all clients fill.
  std::map<std::pair<std::string, uint64_t>, std::vector<int32_t>> answers;
  std::atomic<bool> stop{false};
  std::atomic<int64_t> asked{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < kClients; ++client) {
    clients.emplace_back([&, client] {
      for (uint64_t i = static_cast<uint64_t>(client); !stop; ++i) {
        const uint64_t prompt = i % kPrompts;
        const auto answer = daemons.client().Complete(
            GreedyRequest(TestPrompt(30 + 20 * static_cast<int64_t>(prompt), prompt), 12));
        ++asked;
        EXPECT_OK(answer);
        if (!answer.ok()) return;
        EXPECT_EQ(answer->final.revision().digest().size(), 64u);
        MutexLock lock(&mutex);
        const auto [it, is_new] =
            answers.insert({{answer->final.revision().digest(), prompt}, answer->token_ids});
        if (!is_new) {
          EXPECT_EQ(it->second, answer->token_ids)
              << "revision " << answer->final.revision().number() << " prompt " << prompt;
        }
      }
    });
  }
  absl::Status status;
  for (uint64_t i = 0; status.ok() && i < kRevisions; ++i) {
    const auto answer = daemons.client().Complete(GreedyRequest(TestPrompt(40, 100 + i), 4));
    EXPECT_OK(answer);
    if (!answer.ok()) break;
    EXPECT_OK(daemons.client().SubmitFeedback(
        CorrectionOf(answer->final.completion_id(), absl::StrCat("key", i), "right")));
    status = daemons.WaitForRevision(i + 1);
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  ASSERT_OK(status);
  std::set<std::string> revisions;
  std::set<std::vector<int32_t>> distinct;
  for (const auto& [key, tokens] : answers) {
    revisions.insert(key.first);
    distinct.insert(tokens);
  }
  EXPECT_GE(revisions.size(), 2u) << asked << " requests saw no swap";
  EXPECT_GT(distinct.size(), kPrompts) << "training changed no answer";
  EXPECT_OK(daemons.WaitUntilNothingIsHeld());
  EXPECT_OK(daemons.StopTrainer());
  EXPECT_OK(daemons.StopServer());
}

}  // namespace
}  // namespace alchemist
