// What a client can rely on when it gives feedback to the running daemons.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/random.h"
#include "model/safetensors.h"
#include "model/tokenizer.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/alchemist_client.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kPasses = 3;  // TestDaemons' default for --passes.

class FeedbackE2eTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_OK(WriteTestModel(ModelFamily::kLlama, ModelDirectory())); }
  static std::string ModelDirectory() { return ::testing::TempDir() + "/model"; }

  // Asks, and returns the completion's id.
  std::string Complete(uint64_t seed, int64_t prompt_tokens = 40) {
    const auto answer =
        daemons_.client().Complete(GreedyRequest(TestPrompt(prompt_tokens, seed), 8));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? answer->final.completion_id() : "";
  }

  // Submits, expecting `disposition`; returns the feedback's id.
  std::string Submit(const v1::SubmitFeedbackRequest& request, v1::Disposition disposition) {
    const auto response = daemons_.client().SubmitFeedback(request);
    EXPECT_TRUE(response.ok()) << response.status();
    if (!response.ok()) return "";
    EXPECT_EQ(response->disposition(), disposition)
        << v1::Disposition_Name(response->disposition());
    return response->feedback_id();
  }

  absl::Status SubmitStatus(const v1::SubmitFeedbackRequest& request) {
    return daemons_.client().SubmitFeedback(request).status();
  }

  // Everything the log lists is done, by exactly the passes it was given, and of `ids` nothing is
  // missing.
  void ExpectAllDoneOnce(const std::vector<std::string>& ids) {
    const auto all = daemons_.client().ListFeedback();
    ASSERT_OK(all);
    std::set<std::string> listed;
    for (const v1::Feedback& feedback : *all) {
      EXPECT_TRUE(listed.insert(feedback.feedback_id()).second) << "listed twice";
      EXPECT_LE(feedback.passes(), kPasses) << feedback.DebugString();
    }
    for (const std::string& id : ids) {
      const auto feedback = daemons_.client().GetFeedback(id);
      ASSERT_OK(feedback);
      EXPECT_EQ(feedback->state(), v1::FEEDBACK_STATE_DONE);
      EXPECT_EQ(feedback->passes(), kPasses) << feedback->DebugString();
      EXPECT_GE(feedback->first_revision().number(), 1u) << feedback->DebugString();
      EXPECT_TRUE(listed.contains(id)) << id;
    }
  }

  // The trainer's own account of passes, as it would say it in its next hello.
  std::string NewestCheckpointState() {
    std::string newest;
    int64_t step_max = -1;
    for (const auto& entry : std::filesystem::directory_iterator(daemons_.checkpoint_dir())) {
      const std::string name = entry.path().filename();
      absl::string_view digits = name;
      int64_t step = 0;
      if (!absl::ConsumePrefix(&digits, "step-") || !absl::SimpleAtoi(digits, &step)) continue;
      if (step > step_max) newest = entry.path();
      step_max = std::max(step_max, step);
    }
    const auto state = ReadFile(newest + "/state.json", 1 << 20);
    EXPECT_TRUE(state.ok()) << state.status();
    return state.value_or("");
  }

  TestDaemons daemons_{ModelDirectory()};
};

TEST_F(FeedbackE2eTest, FeedbackIsTrainedFromTheRecordAndItsStateCanBeFollowed) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  std::vector<std::string> ids;
  for (uint64_t i = 0; i < 4; ++i) {
    // At once after the answer, when the completion may not be durable yet.
    const std::string id = Complete(i);
    ids.push_back(Submit(i % 2 == 0 ? CorrectionOf(id, absl::StrCat("k", i), "right")
                                    : RatingOf(id, absl::StrCat("k", i), 1),
                         v1::DISPOSITION_RECORD_HELD));
  }
  ASSERT_OK(daemons_.WaitForServed(ids));
  ExpectAllDoneOnce(ids);
  for (const std::string& id : ids) {
    EXPECT_TRUE(daemons_.client().GetFeedback(id)->record_reused());
  }
  const auto revisions = daemons_.client().ListRevisions();
  ASSERT_OK(revisions);
  EXPECT_GE(revisions->size(), 2u);
  EXPECT_TRUE(revisions->back().serving());
}

// Clients that try again, in any order, two calls at a time (RELIABILITY.md: F3).
TEST_F(FeedbackE2eTest, WhatIsSentSeveralTimesIsTrainedOnce) {
  constexpr int kFeedback = 40;
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  std::vector<v1::SubmitFeedbackRequest> sent;
  Random random(5);
  for (int i = 0; i < kFeedback; ++i) {
    const v1::SubmitFeedbackRequest request =
        CorrectionOf(Complete(i), absl::StrCat("k", i), absl::StrCat("right ", i));
    sent.insert(sent.end(), 1 + random.Below(5), request);
  }
  for (size_t i = sent.size() - 1; i > 0; --i) {
    std::swap(sent[i], sent[random.Below(static_cast<int64_t>(i) + 1)]);
  }
  std::vector<std::string> answered(sent.size());  // By place in `sent`; each thread its own.
  const auto send = [&](size_t first) {
    const auto client = AlchemistClient::Create(absl::StrCat("127.0.0.1:", daemons_.port()));
    for (size_t i = first; i < sent.size(); i += 2) {
      const auto response = client->SubmitFeedback(sent[i]);
      if (response.ok()) answered[i] = response->feedback_id();
    }
  };
  std::thread other([&] { send(1); });
  send(0);
  other.join();
  std::map<std::string, std::string> ids;  // By key.
  for (size_t i = 0; i < sent.size(); ++i) {
    ASSERT_NE(answered[i], "");
    const auto [it, first] = ids.emplace(sent[i].idempotency_key(), answered[i]);
    EXPECT_EQ(it->second, answered[i]) << sent[i].idempotency_key();
  }
  ASSERT_EQ(ids.size(), static_cast<size_t>(kFeedback));
  std::vector<std::string> all;
  for (const auto& [key, id] : ids) all.push_back(id);
  ASSERT_OK(daemons_.WaitForServed(all));
  ExpectAllDoneOnce(all);
  EXPECT_EQ(daemons_.client().ListFeedback()->size(), ids.size());
}

TEST_F(FeedbackE2eTest, AKeyStandsForOneContent) {
  ASSERT_OK(daemons_.StartServer());
  const std::string completion = Complete(1);
  const v1::SubmitFeedbackRequest request = CorrectionOf(completion, "key", "right");
  const std::string id = Submit(request, v1::DISPOSITION_QUEUED);
  EXPECT_EQ(Submit(request, v1::DISPOSITION_DUPLICATE), id);
  EXPECT_EQ(SubmitStatus(CorrectionOf(completion, "key", "other")).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(SubmitStatus(RatingOf(completion, "key", 1)).code(), absl::StatusCode::kAlreadyExists);
  // Neither changed what was accepted, nor does a restart forget it.
  ASSERT_OK(daemons_.StopServer());
  ASSERT_OK(daemons_.StartServer());
  EXPECT_EQ(Submit(request, v1::DISPOSITION_DUPLICATE), id);
  const auto all = daemons_.client().ListFeedback();
  ASSERT_OK(all);
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ(all->front().correction().text(), "right");
  EXPECT_EQ(all->front().idempotency_key(), "key");
}

TEST_F(FeedbackE2eTest, BadFeedbackIsRefusedByName) {
  ASSERT_OK(daemons_.StartServer());
  const std::string completion = Complete(1);
  EXPECT_EQ(SubmitStatus(RatingOf("cmpl-unknown", "k", 1)).code(), absl::StatusCode::kNotFound);
  const auto expect_invalid = [&](const v1::SubmitFeedbackRequest& request,
                                  const std::string& field) {
    const absl::Status status = SubmitStatus(request);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
  };
  for (const int32_t value : {0, 2, -2, 1 << 30}) {
    expect_invalid(RatingOf(completion, "k", value), "rating.value");
  }
  expect_invalid(RatingOf(completion, "", 1), "idempotency_key");
  expect_invalid(RatingOf(completion, std::string(129, 'k'), 1), "idempotency_key");
  expect_invalid(RatingOf("", "k", 1), "completion_id");
  expect_invalid(CorrectionOf(completion, "k", ""), "correction.text");
  expect_invalid(CorrectionOf(completion, "k", std::string((64 << 10) + 1, 'x')),
                 "correction.text");
  // Of the allowed bytes, but of more tokens than the context leaves.
  expect_invalid(CorrectionOf(completion, "k", std::string(kTestContext, 'x')), "correction.text");
  v1::SubmitFeedbackRequest no_kind;
  no_kind.set_completion_id(completion);
  no_kind.set_idempotency_key("k");
  expect_invalid(no_kind, "kind");
  EXPECT_EQ(daemons_.client().GetFeedback("fb-unknown").status().code(),
            absl::StatusCode::kNotFound);
  v1::ListFeedbackRequest page;
  page.set_page_size(1001);
  EXPECT_THAT(std::string(daemons_.client().ListFeedbackPage(page).status().message()),
              HasSubstr("page_size"));
  page.set_page_size(10);
  page.set_page_token("not one");
  EXPECT_THAT(std::string(daemons_.client().ListFeedbackPage(page).status().message()),
              HasSubstr("page_token"));
  EXPECT_TRUE(daemons_.client().ListFeedback()->empty());
}

TEST_F(FeedbackE2eTest, ARatingOfMinusOneIsStoredAndNeverTrained) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  const std::string bad = Submit(RatingOf(Complete(1), "bad", -1), v1::DISPOSITION_NOT_TRAINED_YET);
  const std::string good = Submit(RatingOf(Complete(2), "good", 1), v1::DISPOSITION_RECORD_HELD);
  ASSERT_OK(daemons_.WaitForServed({good}));
  const auto feedback = daemons_.client().GetFeedback(bad);
  ASSERT_OK(feedback);
  EXPECT_EQ(feedback->state(), v1::FEEDBACK_STATE_STORED);
  EXPECT_EQ(feedback->passes(), 0);
}

TEST_F(FeedbackE2eTest, ACorrectionWinsOverARating) {
  ASSERT_OK(daemons_.StartServer());
  const std::string completion = Complete(1);
  const std::string rating = Submit(RatingOf(completion, "r", 1), v1::DISPOSITION_QUEUED);
  const std::string correction =
      Submit(CorrectionOf(completion, "c", "right"), v1::DISPOSITION_QUEUED);
  Submit(RatingOf(completion, "late", 1), v1::DISPOSITION_REJECTED);
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForServed({correction}));
  const auto superseded = daemons_.client().GetFeedback(rating);
  ASSERT_OK(superseded);
  EXPECT_EQ(superseded->state(), v1::FEEDBACK_STATE_STORED);
  EXPECT_EQ(superseded->passes(), 0);
  EXPECT_THAT(superseded->reason(), HasSubstr(correction));
}

TEST_F(FeedbackE2eTest, ALaterCorrectionOfAPromptEndsTheEarliersTraining) {
  constexpr int kManyPasses = 40;
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer(
      {.flags = {absl::StrCat("--passes=", kManyPasses), "--pass_interval_ms=50"}}));
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  const std::string first =
      Submit(CorrectionOf(Complete(1), "a", "right"), v1::DISPOSITION_RECORD_HELD);
  ASSERT_OK(daemons_.WaitFor("a pass over the first", [&] {
    const auto feedback = daemons_.client().GetFeedback(first);
    return feedback.ok() && feedback->passes() > 0;
  }));
  const std::string second =
      Submit(CorrectionOf(Complete(1), "b", "better"), v1::DISPOSITION_RECORD_HELD);
  ASSERT_OK(daemons_.WaitForServed({second}));
  const auto superseded = daemons_.client().GetFeedback(first);
  ASSERT_OK(superseded);
  EXPECT_EQ(superseded->state(), v1::FEEDBACK_STATE_STORED);
  EXPECT_LT(superseded->passes(), kManyPasses);
  EXPECT_THAT(superseded->reason(), HasSubstr(second));
  ASSERT_OK(daemons_.WaitUntilNothingIsHeld());
}

TEST_F(FeedbackE2eTest, FeedbackWithoutItsRecordIsTrainedByRunningThePrompt) {
  // Room for the records of a few prompts only.
  ASSERT_OK(
      daemons_.StartServer({.flags = {"--device_bytes=5242880", "--serving_kv_bytes=4194304"}}));
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  const std::string first = Complete(1, 200);
  const auto held = daemons_.client().GetStatus();
  ASSERT_OK(held);
  uint64_t seed = 2;
  for (; seed < 40; ++seed) {
    const auto before = daemons_.client().GetStatus();
    ASSERT_OK(before);
    Complete(seed, 200);
    const auto after = daemons_.client().GetStatus();
    ASSERT_OK(after);
    if (after->records() <= before->records()) break;  // The oldest, `first`, gave way.
  }
  ASSERT_LT(seed, 40u) << "no record was evicted";
  const std::string id =
      Submit(CorrectionOf(first, "late", "right"), v1::DISPOSITION_WILL_RECOMPUTE);
  ASSERT_OK(daemons_.WaitForServed({id}));
  ExpectAllDoneOnce({id});
  EXPECT_FALSE(daemons_.client().GetFeedback(id)->record_reused());
  EXPECT_EQ(daemons_.client().GetStatus()->tokens().first_pass_prompt_recomputed(), 200);
}

// --record=all: a rated answer is trained without any forward pass; of a corrected one only the
// prompt was recorded.
TEST_F(FeedbackE2eTest, ARecordedAnswerIsTrainedWithoutAForwardPass) {
  ASSERT_OK(daemons_.StartServer({.flags = {"--record=all"}}));
  ASSERT_OK(daemons_.StartTrainer({.flags = {"--passes=1", "--replay_items=0"}}));
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(70, 1), 40));
  ASSERT_OK(answer);
  const int64_t rows = answer->final.usage().completion_tokens() - 1;
  const std::string rated =
      Submit(RatingOf(answer->final.completion_id(), "rated", 1), v1::DISPOSITION_RECORD_HELD);
  ASSERT_OK(daemons_.WaitForServed({rated}));
  const auto after_rating = daemons_.client().GetStatus();
  ASSERT_OK(after_rating);
  EXPECT_EQ(after_rating->tokens().response_reused(), rows) << "what is run is its replay";
  EXPECT_EQ(after_rating->tokens().first_pass_prompt_reused(), 70);

  const std::string corrected =
      Submit(CorrectionOf(Complete(2), "corrected", "right"), v1::DISPOSITION_RECORD_HELD);
  ASSERT_OK(daemons_.WaitForServed({corrected}));
  const auto after_correction = daemons_.client().GetStatus();
  ASSERT_OK(after_correction);
  EXPECT_EQ(after_correction->tokens().response_reused(), rows);
  EXPECT_GT(after_correction->tokens().response_run(), 0);
  EXPECT_EQ(after_correction->tokens().first_pass_prompt_reused(), 70 + 40);
  ASSERT_OK(daemons_.StopTrainer());
  EXPECT_OK(daemons_.WaitUntilNothingIsHeld());
}

TEST_F(FeedbackE2eTest, FeedbackOnWhatWasNotToBeTrainedIsNotFound) {
  ASSERT_OK(daemons_.StartServer());
  v1::CompleteRequest request = GreedyRequest(TestPrompt(70, 1), 4);
  request.set_no_train(true);
  const auto answer = daemons_.client().Complete(request);
  ASSERT_OK(answer);
  EXPECT_FALSE(answer->final.recorded());
  EXPECT_EQ(SubmitStatus(RatingOf(answer->final.completion_id(), "key", 1)).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(daemons_.client().GetStatus()->records(), 0);
}

TEST_F(FeedbackE2eTest, FeedbackWaitsForATrainerAndSurvivesRestarts) {
  ASSERT_OK(daemons_.StartServer());
  std::vector<std::string> ids;
  for (uint64_t i = 0; i < 3; ++i) {
    ids.push_back(
        Submit(CorrectionOf(Complete(i), absl::StrCat("k", i), "right"), v1::DISPOSITION_QUEUED));
  }
  const auto queued = daemons_.client().GetFeedback(ids[0]);
  ASSERT_OK(queued);
  EXPECT_EQ(queued->state(), v1::FEEDBACK_STATE_QUEUED);
  EXPECT_EQ(daemons_.client().GetStatus()->feedback_queued(), 3);
  ASSERT_OK(daemons_.StopServer());
  ASSERT_OK(daemons_.StartServer());
  EXPECT_EQ(daemons_.client().GetStatus()->feedback_queued(), 3);
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForServed(ids));
  ASSERT_OK(daemons_.StopTrainer());
  // Both come back: what was done stays done, and is not trained again.
  const auto before = daemons_.client().GetStatus();
  ASSERT_OK(before);
  EXPECT_GT(before->tokens().response_run(), 0);
  ASSERT_OK(daemons_.StopServer());
  ASSERT_OK(daemons_.StartServer());
  EXPECT_EQ(daemons_.client().GetStatus()->steps(), before->steps());
  EXPECT_EQ(daemons_.client().GetStatus()->tokens().DebugString(), before->tokens().DebugString());
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  const std::string later =
      Submit(CorrectionOf(Complete(9), "later", "right"), v1::DISPOSITION_RECORD_HELD);
  ASSERT_OK(daemons_.WaitForServed({later}));
  const std::string last =
      Submit(CorrectionOf(Complete(10), "last", "right"), v1::DISPOSITION_RECORD_HELD);
  ASSERT_OK(daemons_.WaitForServed({last}));
  const std::string checkpoint = NewestCheckpointState();
  EXPECT_THAT(checkpoint, HasSubstr(last));
  for (const std::string& id : ids) {
    EXPECT_THAT(checkpoint, Not(HasSubstr(id))) << "the books grow with all feedback ever given";
  }
  ids.push_back(later);
  ids.push_back(last);
  ExpectAllDoneOnce(ids);
  EXPECT_EQ(daemons_.client().GetStatus()->feedback_queued(), 0);
}

// Overwrites the embedding of `text`'s only token: whatever reads it computes NaN and nothing else.
absl::Status PoisonToken(const std::string& model_directory, const std::string& text) {
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(model_directory));
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, tokenizer->EncodeContinuation(text));
  const std::string path = model_directory + "/model.safetensors";
  ASSIGN_OR_RETURN(std::string content, ReadFile(path, int64_t{1} << 30));
  ASSIGN_OR_RETURN(const std::vector<SafetensorsTensor> tensors, ParseSafetensors(content, path));
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.name != "model.embed_tokens.weight") continue;
    const int64_t row_bytes = tensor.bytes() / tensor.shape[0];
    const size_t row = reinterpret_cast<const char*>(tensor.data) - content.data() +
                       static_cast<size_t>(tokens.at(0) * row_bytes);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(content.data() + row, &nan, sizeof(nan));
    return WriteFileSynced(path, content);
  }
  return absl::NotFoundError(path + ": no embedding");
}

TEST(NonFiniteFeedbackE2eTest, OneNonFiniteGradientEndsItsOwnFeedbackOnly) {
  // Head and embedding are two tensors, so that only inputs can be poisoned.
  const std::string model = ::testing::TempDir() + "/poisoned_model";
  ASSERT_OK(WriteTestModel(ModelFamily::kQwen2, model));
  ASSERT_OK(PoisonToken(model, "~"));
  TestDaemons daemons(model);
  ASSERT_OK(daemons.StartServer());
  ASSERT_OK(daemons.StartTrainer());
  ASSERT_OK(daemons.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  ASSERT_OK(daemons.client().PauseTraining());  // So that all of it is one batch.
  std::vector<std::string> good;
  std::string bad;
  for (int i = 0; i < 5; ++i) {
    const auto answer =
        daemons.client().Complete(GreedyRequest(absl::StrCat("question ", i), /*max_tokens=*/4));
    ASSERT_OK(answer);
    const auto feedback = daemons.client().SubmitFeedback(
        CorrectionOf(answer->final.completion_id(), absl::StrCat("k", i), i == 2 ? "~x" : "right"));
    ASSERT_OK(feedback);
    if (i == 2) {
      bad = feedback->feedback_id();
    } else {
      good.push_back(feedback->feedback_id());
    }
  }
  ASSERT_OK(daemons.client().ResumeTraining());
  ASSERT_OK(daemons.WaitForServed(good));
  for (const std::string& id : good) EXPECT_EQ(daemons.client().GetFeedback(id)->passes(), kPasses);
  ASSERT_OK(daemons.WaitFor("the quarantine", [&] {
    const auto feedback = daemons.client().GetFeedback(bad);
    return feedback.ok() && feedback->state() == v1::FEEDBACK_STATE_QUARANTINED;
  }));
  const auto quarantined = daemons.client().GetFeedback(bad);
  ASSERT_OK(quarantined);
  EXPECT_EQ(quarantined->passes(), 0);
  EXPECT_THAT(daemons.trainer().Log(), HasSubstr(absl::StrCat("feedback ", bad, " on completion ",
                                                              quarantined->completion_id(),
                                                              " revision 0 is quarantined: ")));
  EXPECT_FALSE(quarantined->has_first_revision());
  EXPECT_EQ(daemons.client().GetStatus()->feedback_queued(), 0);
  // A trainer that comes back does not try it again.
  ASSERT_OK(daemons.StopTrainer());
  ASSERT_OK(daemons.StartTrainer());
  ASSERT_OK(daemons.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  EXPECT_EQ(daemons.client().GetFeedback(bad)->state(), v1::FEEDBACK_STATE_QUARANTINED);
  EXPECT_OK(daemons.StopTrainer());
  EXPECT_OK(daemons.StopServer());
}

}  // namespace
}  // namespace alchemist
