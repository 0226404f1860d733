#include "server/log_thread.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "server/ids.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

constexpr int kCompletions = 100;

std::unique_ptr<LogThread> StartLog(const std::string& directory,
                                    const LogThread::Options& options = {}) {
  auto log = LogThread::Start(directory, options);
  EXPECT_TRUE(log.ok()) << log.status();
  return *std::move(log);
}

TEST(LogThreadTest, StopAnswersEverythingThatWasAccepted) {
  const std::string directory = FreshDirectory();
  auto log = StartLog(directory);
  int answered = 0;  // Written on the log thread, which Stop joins.
  for (int i = 0; i < 500; ++i) {
    const absl::Status posted = log->Post(
        [i](FeedbackLog& l) { return l.completions().Add(TestCompletion(absl::StrCat(i))); },
        [&](absl::Status status) { answered += status.ok(); });
    ASSERT_TRUE(posted.ok()) << posted;
  }
  EXPECT_TRUE(log->Stop().ok());
  EXPECT_EQ(answered, 500);
  EXPECT_EQ(log->Post([](FeedbackLog&) { return absl::OkStatus(); }, [](absl::Status) {}).code(),
            absl::StatusCode::kUnavailable);
  auto reopened = OpenLog(directory);
  EXPECT_EQ(AddCompletion(reopened.get(), TestCompletion("499")).code(),
            absl::StatusCode::kAlreadyExists);
}

TEST(LogThreadTest, StartSaysWhyItCannot) {
  const std::string directory = FreshDirectory();
  auto log = StartLog(directory);
  EXPECT_EQ(LogThread::Start(directory, {}).status().code(), absl::StatusCode::kUnavailable);
}

// ---- RELIABILITY.md F3: feedback that comes several times, reordered, from several clients ----

// What one client sends: content number `content` (0 or 1) under key number `key`.
struct Message {
  int key = 0;
  int content = 0;
};

struct Answer {
  Message message;
  absl::StatusCode code = absl::StatusCode::kUnknown;
  bool duplicate = false;
  std::string feedback_id;
};

NewFeedback FeedbackOf(const Message& message) {
  NewFeedback feedback =
      TestCorrection(MintFeedbackId(), absl::StrCat("cmpl-", message.key % kCompletions),
                     absl::StrCat("content ", message.content));
  feedback.idempotency_key = absl::StrCat("key-", message.key);
  return feedback;
}

// Sends messages with at most two in flight, each again when the queue was full.
class Client {
 public:
  Client(LogThread* log, std::vector<Message> messages)
      : log_(log), messages_(std::move(messages)), answers_(messages_.size()) {}

  void Run() {
    for (size_t i = 0; i < messages_.size(); ++i) {
      Await(/*in_flight_max=*/1);
      while (!Send(i).ok()) Await(/*in_flight_max=*/0);
    }
    Await(/*in_flight_max=*/0);
  }

  std::vector<Answer> answers() {
    MutexLock lock(&mutex_);
    return answers_;
  }

 private:
  absl::Status Send(size_t i) {
    {
      MutexLock lock(&mutex_);
      ++in_flight_;
    }
    auto added = std::make_shared<AddedFeedback>();
    absl::Status posted = log_->Post(
        [added, feedback = FeedbackOf(messages_[i])](FeedbackLog& log) -> absl::Status {
          ASSIGN_OR_RETURN(*added, log.feedback().Add(feedback));
          return absl::OkStatus();
        },
        [this, i, added](absl::Status status) {
          MutexLock lock(&mutex_);
          answers_[i] = {messages_[i], status.code(), added->duplicate, added->row.feedback_id};
          --in_flight_;
          answered_.NotifyOne();
        });
    if (!posted.ok()) {
      MutexLock lock(&mutex_);
      --in_flight_;
    }
    return posted;
  }

  void Await(int in_flight_max) {
    MutexLock lock(&mutex_);
    while (in_flight_ > in_flight_max) answered_.Wait(&mutex_);
  }

  LogThread* const log_;
  const std::vector<Message> messages_;
  Mutex mutex_;  // The log thread answers, the client's thread waits.
  CondVar answered_;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Answer> answers_ ABSL_GUARDED_BY(mutex_);
};

// Each key 1 to 5 times, one message in eight with other content, in a seeded order.
std::vector<Message> Messages(int count, Random* random) {
  std::vector<Message> messages;
  for (int key = 0; static_cast<int>(messages.size()) < count; ++key) {
    const int64_t times = 1 + random->Below(5);
    for (int64_t i = 0; i < times; ++i) messages.push_back({key, random->Below(8) == 0 ? 1 : 0});
  }
  for (size_t i = messages.size() - 1; i > 0; --i) {
    std::swap(messages[i], messages[random->Below(static_cast<int64_t>(i) + 1)]);
  }
  return messages;
}

// The answers to one key: one content was admitted once, and the other refused.
void ExpectAdmittedOnce(const std::vector<Answer>& answers, FeedbackLog* log) {
  const auto is_first = [](const Answer& answer) {
    return answer.code == absl::StatusCode::kOk && !answer.duplicate;
  };
  ASSERT_EQ(std::count_if(answers.begin(), answers.end(), is_first), 1);
  const Answer& first = *std::find_if(answers.begin(), answers.end(), is_first);
  for (const Answer& answer : answers) {
    if (answer.message.content != first.message.content) {
      EXPECT_EQ(answer.code, absl::StatusCode::kAlreadyExists);
    } else {
      EXPECT_EQ(answer.code, absl::StatusCode::kOk);
      EXPECT_EQ(answer.feedback_id, first.feedback_id);
    }
  }
  const auto row = GetFeedback(log, first.feedback_id);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_EQ(row->idempotency_key, absl::StrCat("key-", first.message.key));
  EXPECT_EQ(row->correction_text, absl::StrCat("content ", first.message.content));
}

int64_t CountFeedback(FeedbackLog* log) {
  int64_t count = 0, after_seq = 0;
  const absl::Status status = Transact(log, [&](FeedbackLog& l) -> absl::Status {
    for (bool more = true; more;) {
      ASSIGN_OR_RETURN(const FeedbackPage page, l.feedback().List(after_seq, /*limit=*/1000));
      count += static_cast<int64_t>(page.rows.size());
      if (!page.rows.empty()) after_seq = page.rows.back().seq;
      more = page.more;
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return count;
}

TEST(LogThreadTest, RepeatedAndReorderedFeedbackIsAdmittedExactlyOnce) {
  constexpr int kClients = 16;
  constexpr int kMessages = 10'000;
  const std::string directory = FreshDirectory();
  LogThread::Options options;
  options.loop.queue_commands = 24;  // Fewer than can be in flight: some are refused and resent.
  auto log = OpenLog(directory);
  for (int i = 0; i < kCompletions; ++i) {
    ASSERT_TRUE(AddCompletion(log.get(), TestCompletion(absl::StrCat("cmpl-", i))).ok());
  }
  log.reset();

  Random random(20240607);
  const std::vector<Message> messages = Messages(kMessages, &random);
  auto log_thread = StartLog(directory, options);
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::thread> threads;
  for (size_t c = 0; c < kClients; ++c) {
    std::vector<Message> share;
    for (size_t i = c; i < messages.size(); i += kClients) share.push_back(messages[i]);
    clients.push_back(std::make_unique<Client>(log_thread.get(), std::move(share)));
    threads.emplace_back([client = clients.back().get()] { client->Run(); });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(log_thread->Stop().ok());

  absl::flat_hash_map<int, std::vector<Answer>> by_key;
  for (const auto& client : clients) {
    for (const Answer& answer : client->answers()) by_key[answer.message.key].push_back(answer);
  }
  log = OpenLog(directory);
  EXPECT_EQ(CountFeedback(log.get()), static_cast<int64_t>(by_key.size()));
  for (const auto& [key, answers] : by_key) {
    SCOPED_TRACE(absl::StrCat("key ", key));
    ExpectAdmittedOnce(answers, log.get());
  }
}

}  // namespace
}  // namespace alchemist
