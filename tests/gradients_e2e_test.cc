// The central claim, across two real processes: the gradients of a batch whose prompts were read
// from the server's records are bitwise those of a trainer process that never attached to a server
// and had only the tokens.
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "model/safetensors.h"
#include "proto/alchemist/v1/link.pb.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

constexpr int64_t kOfflineTimeoutUs = 120'000'000;
constexpr int64_t kItemsBytesMax = 64 << 20;

// Around the edges of K/V pages (32 rows), chunks (--rows_per_step, 48) and hash blocks (64). Those
// of 64 tokens and more begin alike, so that records go on from others.
constexpr int64_t kPromptLengths[] = {1, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 97, 129, 200};
constexpr int64_t kSharedFrom = 64;
constexpr int64_t kPrefixTokens = 64 + 64 + 64 + 64 + 128;  // Found by those of 65 and more.

class GradientsE2eTest : public ::testing::Test {
 protected:
  // `dtype`: a --dtype for all three processes. `computed_in`: what the server must say of it.
  void RunAllSteps(const std::string& model_directory, const std::string& dtype,
                   const std::string& computed_in);

  // Completions of prompts of every length, each with feedback; waits until it is all done.
  void GiveFeedback(TestDaemons& daemons, int64_t round);
  void CompareWithOffline(const TestDaemons& daemons, const std::string& model_directory,
                          const std::string& dtype, const std::string& dump,
                          const std::string& step);

  int64_t prompt_tokens_ = 0;  // Of all completions that got feedback.
  int64_t steps_compared_ = 0;
  int64_t steps_with_a_shared_prompt_ = 0;
  std::set<std::string> adapters_;  // Digests that the items of the steps were computed at.
};

void GradientsE2eTest::GiveFeedback(TestDaemons& daemons, int64_t round) {
  // All items are there before the first step, so that batches mix lengths.
  ASSERT_OK(daemons.client().PauseTraining());
  std::vector<std::string> ids;
  const auto submit = [&](const v1::SubmitFeedbackRequest& request) {
    const auto response = daemons.client().SubmitFeedback(request);
    ASSERT_OK(response);
    EXPECT_EQ(response->disposition(), v1::DISPOSITION_RECORD_HELD);
    ids.push_back(response->feedback_id());
  };
  for (const int64_t length : kPromptLengths) {
    const uint64_t seed = 1000 * round + (length < kSharedFrom ? length : 0);
    v1::CompleteRequest request = GreedyRequest(TestPrompt(length, seed), 12);
    // What the trainer had begun before it paused may be published meanwhile.
    request.set_session_id(absl::StrCat("round ", round));
    const auto answer = daemons.client().Complete(request);
    ASSERT_OK(answer);
    EXPECT_TRUE(answer->final.recorded());
    const std::string& id = answer->final.completion_id();
    const std::string key = absl::StrCat(round, "-", length);
    prompt_tokens_ += length;
    if ((length + round) % 2 == 0) {
      submit(RatingOf(id, key, 1));  // And it is replayed: two answers to one prompt.
    } else {
      submit(CorrectionOf(id, key, "right."));
    }
  }
  ASSERT_OK(daemons.client().ResumeTraining());
  ASSERT_OK(daemons.WaitForDone(ids));
}

void GradientsE2eTest::CompareWithOffline(const TestDaemons& daemons,
                                          const std::string& model_directory,
                                          const std::string& dtype, const std::string& dump,
                                          const std::string& step) {
  const std::string items_file = absl::StrCat(dump, "/", step, ".items.jsonl");
  const absl::StatusOr<std::string> items = ReadFile(items_file, kItemsBytesMax);
  ASSERT_OK(items);
  std::map<std::string, int> answers;  // By the completion they answer.
  for (const absl::string_view line : absl::StrSplit(*items, '\n', absl::SkipEmpty())) {
    v1::FeedbackItem item;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(std::string(line), &item).ok());
    ++answers[item.completion_id()];
    adapters_.insert(item.record().revision().digest());
  }
  for (const auto& [completion, count] : answers) {
    if (count == 1) continue;
    ++steps_with_a_shared_prompt_;
    break;
  }
  const std::string output = absl::StrCat(dump, "/", step, ".offline.safetensors");
  auto offline = Process::Start(
      {.command = {ProgramPath("trainer/alchemist-trainer"), "--offline_items=" + items_file,
                   "--model=" + model_directory, "--dtype=" + dtype,
                   "--adapters=" + dump + "/adapters", "--output=" + output, "--threads=1"},
       .environment = {},
       .log_path = daemons.directory() + "/offline.log"});
  ASSERT_OK(offline);
  ASSERT_TRUE((*offline)->WaitForExit(kOfflineTimeoutUs));
  ASSERT_TRUE((*offline)->exited_with(0)) << (*offline)->Log();

  const auto attached =
      SafetensorsFile::Open(absl::StrCat(dump, "/", step, ".gradients.safetensors"));
  const auto without = SafetensorsFile::Open(output);
  ASSERT_OK(attached);
  ASSERT_OK(without);
  ASSERT_EQ(attached->tensors().size(), without->tensors().size());
  ASSERT_FALSE(attached->tensors().empty());
  for (const SafetensorsTensor& tensor : attached->tensors()) {
    const SafetensorsTensor* other = without->Find(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    ASSERT_EQ(tensor.shape, other->shape) << tensor.name;
    EXPECT_EQ(std::memcmp(tensor.data, other->data, tensor.bytes()), 0)
        << step << " " << tensor.name << " differs with and without reuse";
  }
  ++steps_compared_;
}

void GradientsE2eTest::RunAllSteps(const std::string& model_directory, const std::string& dtype,
                                   const std::string& computed_in) {
  TestDaemons daemons(model_directory);
  const std::string dump = daemons.directory() + "/dump";
  ASSERT_OK(daemons.StartServer({.flags = {"--rows_per_step=48", "--dtype=" + dtype}}));
  EXPECT_TRUE(absl::StrContains(daemons.Logs(), computed_in)) << daemons.Logs();
  // Whatever the drift, served records are used: equality must not depend on how far weights moved.
  ASSERT_OK(daemons.StartTrainer(
      {.flags = {"--dump_gradients=" + dump, "--drift_max=1e9", "--repeat_drift_max=1e9",
                 "--learning_rate=0.01", "--passes=2"}}));
  ASSERT_OK(daemons.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));

  GiveFeedback(daemons, 1);  // At revision 0, where B is 0.
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_OK(daemons.WaitForRevision(1));
  GiveFeedback(daemons, 2);  // At a revision that was trained.
  ASSERT_FALSE(HasFatalFailure());

  const auto served = daemons.client().GetStatus();
  ASSERT_OK(served);
  EXPECT_GE(served->tokens().first_pass_prompt_reused(), prompt_tokens_) << served->DebugString();
  EXPECT_EQ(served->tokens().first_pass_prompt_recomputed(), 0) << served->DebugString();
  EXPECT_EQ(served->prefix_tokens(), 2 * kPrefixTokens) << "in both rounds";
  EXPECT_GT(served->tokens().replay_reused() + served->tokens().later_pass_reused(), 0);
  ASSERT_OK(daemons.StopTrainer());
  ASSERT_OK(daemons.WaitUntilNothingIsHeld());

  for (const auto& entry : std::filesystem::directory_iterator(dump)) {
    const std::string name = entry.path().filename();
    if (!absl::EndsWith(name, ".items.jsonl")) continue;
    CompareWithOffline(daemons, model_directory, dtype, dump, name.substr(0, name.find('.')));
    ASSERT_FALSE(HasFatalFailure()) << daemons.Logs();
  }
  EXPECT_GE(steps_compared_, 4);
  EXPECT_GT(steps_with_a_shared_prompt_, 0);
  EXPECT_GT(adapters_.size(), 1u);
}

struct Param {
  ModelFamily family;
  DType dtype;  // Of the file, and so of everything.
};

class FamilyGradientsE2eTest : public GradientsE2eTest,
                               public ::testing::WithParamInterface<Param> {};

TEST_P(FamilyGradientsE2eTest, ReuseGivesTheBitsOfATrainerThatNeverAttached) {
  const std::string dtype = DTypeName(GetParam().dtype);
  const std::string model =
      absl::StrCat(::testing::TempDir(), "/", ModelTypeName(GetParam().family), "_", dtype);
  ASSERT_OK(WriteTestModel(GetParam().family, model, GetParam().dtype));
  RunAllSteps(model, "auto",
              absl::StrCat("computing in ", dtype, ", 0 bytes of weights converted"));
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyGradientsE2eTest,
                         ::testing::Values(Param{ModelFamily::kLlama, DType::kF32},
                                           Param{ModelFamily::kMistral, DType::kF32},
                                           Param{ModelFamily::kQwen2, DType::kF32},
                                           Param{ModelFamily::kQwen3, DType::kF32},
                                           Param{ModelFamily::kLlama, DType::kBf16},
                                           Param{ModelFamily::kMistral, DType::kBf16},
                                           Param{ModelFamily::kQwen2, DType::kBf16},
                                           Param{ModelFamily::kQwen3, DType::kBf16}),
                         [](const auto& info) {
                           return absl::StrCat(ModelTypeName(info.param.family), "_",
                                               DTypeName(info.param.dtype));
                         });

// The trainer maps the weights that the server rounded.
TEST_F(GradientsE2eTest, ReuseGivesTheSameBitsOnConvertedWeights) {
  const std::string model = absl::StrCat(::testing::TempDir(), "/converted");
  ASSERT_OK(WriteTestModel(ModelFamily::kLlama, model, DType::kF16));
  RunAllSteps(model, "bf16", "computing in bf16, ");
}

TEST_F(GradientsE2eTest, ReuseGivesTheSameBitsOnRealWeights) {
  const char* data = std::getenv("ALCHEMIST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ALCHEMIST_DATA is not set";
  RunAllSteps(absl::StrCat(data, "/models/tinystories-656K"), "auto", "computing in f32, 0 bytes");
}

}  // namespace
}  // namespace alchemist
