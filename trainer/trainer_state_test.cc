#include "trainer/trainer_state.h"

#include <cstdlib>
#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/worker_pool.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kTokenizer[] = "tokenizer-digest";

class TrainerStateTest : public testing::Test {
 protected:
  TrainerStateTest()
      : directory_(absl::StrCat(testing::TempDir(), "/state-XXXXXX")),
        pool_({.threads = 1}),
        stream_(&pool_) {
    PCHECK(mkdtemp(directory_.data()) != nullptr) << directory_;
    const std::string model = directory_ + "/model";
    CHECK(WriteRandomModel(TinyModelConfig(ModelFamily::kLlama), 1, {}, model).ok());
    auto loaded = Model::Load(model);
    CHECK(loaded.ok()) << loaded.status();
    model_ = *std::move(loaded);
  }

  std::unique_ptr<TrainerState> Open() const {
    auto state = TrainerState::Open(directory_ + "/checkpoints", {}, *model_, kTokenizer);
    CHECK(state.ok()) << state.status();
    return *std::move(state);
  }
  std::unique_ptr<LoraAdapter> MakeAdapter(uint64_t seed) const {
    LoraConfig config;
    config.rank = 2;
    config.targets = {Linear::kQ};
    auto adapter = LoraAdapter::Create(model_->config(), config, seed);
    CHECK(adapter.ok()) << adapter.status();
    return *std::move(adapter);
  }
  RevisionName Adopt(TrainerState& state, uint64_t number) const {
    std::unique_ptr<LoraAdapter> adapter = MakeAdapter(number);
    const RevisionName revision = {"default", number, adapter->digest()};
    state.Adopt(revision, std::move(adapter));
    return revision;
  }
  void Step(TrainerState& state, float gradient) {
    AdapterGradients ascent(state.adapter());
    ascent.B(0, Linear::kQ).Row<float>(0)[0] = gradient;
    state.Step(ascent, stream_);
  }
  void Save(TrainerState& state) const {
    const absl::Status saved = state.Save(*state.Snapshot(), *model_, kTokenizer);
    ASSERT_TRUE(saved.ok()) << saved;
  }

  std::string directory_;
  WorkerPool pool_;
  Stream stream_;
  std::unique_ptr<const Model> model_;
};

TEST_F(TrainerStateTest, BeginsEmptyAndAdoptsARevision) {
  const auto state = Open();
  EXPECT_FALSE(state->has_adapter());
  EXPECT_FALSE(state->has_checkpoint());
  EXPECT_EQ(state->checkpoint_digest(), "");
  const RevisionName revision = Adopt(*state, 4);
  EXPECT_TRUE(state->has_adapter());
  EXPECT_EQ(state->parent(), 4u);
  EXPECT_EQ(state->drift().SinceRevision(revision.digest), 0);
  EXPECT_EQ(state->Snapshot()->digest(), revision.digest);
}

TEST_F(TrainerStateTest, GoesOnFromItsCheckpointAsIfItHadNotStopped) {
  const auto state = Open();
  const RevisionName revision = Adopt(*state, 4);
  Step(*state, 0.5f);
  state->AddPass("fb-1", false);
  state->AddPass("fb-2", true);
  Save(*state);
  EXPECT_TRUE(state->has_checkpoint());

  const auto resumed = Open();
  EXPECT_TRUE(resumed->has_checkpoint());
  EXPECT_EQ(resumed->step(), 1);
  EXPECT_EQ(resumed->parent(), 4u);
  EXPECT_EQ(resumed->checkpoint_digest(), state->Snapshot()->digest());
  EXPECT_THAT(resumed->lineage(), ElementsAre(Pair("fb-1", 1), Pair("fb-2", 1)));
  EXPECT_TRUE(resumed->pass_book().Get("fb-2").done);
  EXPECT_THAT(resumed->pass_book().TakeChanged(), IsEmpty()) << "the checkpoint is known";
  EXPECT_EQ(resumed->drift().SinceRevision(revision.digest),
            state->drift().SinceRevision(revision.digest));
  for (TrainerState* each : {state.get(), resumed.get()}) Step(*each, -0.25f);
  EXPECT_EQ(resumed->Snapshot()->digest(), state->Snapshot()->digest()) << "moments too";
  EXPECT_EQ(resumed->drift().path(), state->drift().path());
}

TEST_F(TrainerStateTest, KnowsWhatTheCheckpointDoesNotHold) {
  const auto state = Open();
  Adopt(*state, 1);
  Step(*state, 0.5f);
  Save(*state);
  Step(*state, 0.5f);
  EXPECT_FALSE(state->has_checkpoint());
  Save(*state);
  EXPECT_TRUE(state->has_checkpoint());
  state->MarkDone("fb-1");
  EXPECT_FALSE(state->has_checkpoint());
  Save(*state);  // The same step once more.
  EXPECT_TRUE(Open()->pass_book().Get("fb-1").done);
}

TEST_F(TrainerStateTest, AStepThatIsNotFiniteChangesNothing) {
  const auto state = Open();
  Adopt(*state, 1);
  Save(*state);
  Step(*state, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(state->has_checkpoint());
  EXPECT_EQ(state->step(), 0);
  EXPECT_EQ(state->drift().path(), 0);
}

TEST_F(TrainerStateTest, PublishingTakesWhatWasPublishedFromTheLineage) {
  const auto state = Open();
  Adopt(*state, 1);
  state->AddPass("fb-1", false);
  state->AddPass("fb-2", false);
  const std::map<std::string, int64_t> published = state->lineage();
  state->AddPass("fb-2", false);  // While the server decides.
  state->AddPass("fb-3", false);
  state->OnPublished({"default", 2, "digest"}, published);
  EXPECT_EQ(state->parent(), 2u);
  EXPECT_THAT(state->lineage(), ElementsAre(Pair("fb-2", 1), Pair("fb-3", 1)));
  EXPECT_EQ(state->pass_book().Get("fb-2").passes, 2) << "passes stay";
}

TEST_F(TrainerStateTest, TheWholeLineageCanBePublished) {
  const auto state = Open();
  Adopt(*state, 1);
  for (const char* id : {"fb-1", "fb-2", "fb-3"}) state->AddPass(id, false);
  state->AddPass("fb-2", false);
  state->OnPublished({"default", 2, "digest"}, state->lineage());
  EXPECT_THAT(state->lineage(), IsEmpty());
}

TEST_F(TrainerStateTest, ThePassesOfTheCheckpointAreToldFromThoseSince) {
  const auto state = Open();
  Adopt(*state, 1);
  Step(*state, 0.5f);
  state->AddPass("fb-1", false);
  Save(*state);
  Step(*state, 0.5f);
  state->AddPass("fb-1", false);
  state->AddPass("fb-2", false);
  EXPECT_THAT(state->checkpoint_lineage(), ElementsAre(Pair("fb-1", 1)));
  // The server served the checkpoint, and the answer was lost.
  state->OnPublished({"default", 2, state->checkpoint_digest()}, state->checkpoint_lineage());
  EXPECT_THAT(state->lineage(), ElementsAre(Pair("fb-1", 1), Pair("fb-2", 1)));
  EXPECT_THAT(Open()->checkpoint_lineage(), ElementsAre(Pair("fb-1", 1)));
}

TEST_F(TrainerStateTest, ARollbackTakesWeightsMomentsAndLineageButNoPassesBack) {
  const auto state = Open();
  const RevisionName first = Adopt(*state, 1);
  Step(*state, 0.5f);
  state->AddPass("fb-1", true);
  Save(*state);
  const std::string trained = state->checkpoint_digest();
  Adopt(*state, 1);
  EXPECT_FALSE(state->has_checkpoint());
  EXPECT_EQ(state->Snapshot()->digest(), first.digest);
  EXPECT_THAT(state->lineage(), IsEmpty());
  EXPECT_EQ(state->pass_book().Get("fb-1").passes, 1);
  EXPECT_EQ(state->drift().SinceRevision(trained), std::numeric_limits<double>::infinity());
  // Fresh moments: the first step after it is that of a new optimizer.
  const auto fresh = TrainerState::Open(directory_ + "/fresh", {}, *model_, kTokenizer);
  ASSERT_TRUE(fresh.ok());
  Adopt(**fresh, 1);
  for (TrainerState* each : {state.get(), fresh->get()}) Step(*each, -0.5f);
  EXPECT_EQ(state->Snapshot()->digest(), (*fresh)->Snapshot()->digest());
  EXPECT_EQ(state->step(), 2) << "steps count on";
}

TEST_F(TrainerStateTest, PassesAreOnlyEverRaised) {
  const auto state = Open();
  Adopt(*state, 1);
  state->AddPass("fb-1", false);
  state->AddPass("fb-1", false);
  state->RaisePasses("fb-1", 1);
  EXPECT_EQ(state->pass_book().Get("fb-1").passes, 2);
  state->RaisePasses("fb-1", 5);
  EXPECT_EQ(state->pass_book().Get("fb-1").passes, 5);
  EXPECT_THAT(state->lineage(), ElementsAre(Pair("fb-1", 2))) << "not made here";
}

TEST_F(TrainerStateTest, OfTheChangesEachIsTakenOnce) {
  const auto state = Open();
  Adopt(*state, 1);
  state->AddPass("fb-1", false);
  state->AddPass("fb-1", true);
  const auto changed = state->pass_book().TakeChanged();
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_EQ(changed.at("fb-1").passes, 2);
  EXPECT_TRUE(changed.at("fb-1").done);
  EXPECT_THAT(state->pass_book().TakeChanged(), IsEmpty());
}

TEST_F(TrainerStateTest, ACheckpointOfAnotherTokenizerIsRefused) {
  const auto state = Open();
  Adopt(*state, 1);
  Save(*state);
  EXPECT_EQ(TrainerState::Open(directory_ + "/checkpoints", {}, *model_, "another").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace alchemist
