#include "server/scheduler.h"

#include "gtest/gtest.h"

namespace alchemist {
namespace {

constexpr int64_t kPlenty = 1'000;

using Parts = std::vector<StepPlan::Part>;

RunningSequence Prompt(int64_t rows) { return {.prompt_rows_left = rows}; }
RunningSequence Answer(int64_t rows = 1) { return {.decode_rows_left = rows}; }
// An answer at a page's end, which holds `serving_pages` of its `kv_pages`.
RunningSequence Full(int64_t kv_pages, int64_t serving_pages, std::string tenant = "",
                     int32_t priority = 0) {
  return {.decode_rows_left = 1,
          .first_position = 32 * kv_pages,
          .kv_pages = kv_pages,
          .serving_pages = serving_pages,
          .tenant = std::move(tenant),
          .priority = priority};
}

TEST(SchedulerTest, DecodesGoFirstAndPromptsShareTheRest) {
  const StepPlan plan =
      PlanStep({.rows_per_step = 10}, kPlenty, {Answer(), Prompt(7), Answer(), Prompt(7)});
  EXPECT_EQ(plan.decode, (Parts{{0, 1}, {2, 1}}));
  EXPECT_EQ(plan.prefill, (Parts{{1, 7}, {3, 1}}));
  EXPECT_TRUE(plan.preempt.empty());
}

TEST(SchedulerTest, PromptsGoByTurnsOfTheTenantsAndByPriorityWithinOne) {
  const auto prompt = [](const char* tenant, int32_t priority) {
    RunningSequence sequence = Prompt(10);
    sequence.tenant = tenant;
    sequence.priority = priority;
    return sequence;
  };
  const std::vector<RunningSequence> running = {prompt("a", 0), prompt("a", 0), prompt("b", 5),
                                                prompt("a", -1), prompt("b", 5)};
  EXPECT_EQ(PlanStep({.rows_per_step = 50}, kPlenty, running).prefill,
            (Parts{{2, 10}, {3, 10}, {0, 10}, {4, 10}, {1, 10}}));
}

TEST(SchedulerTest, APromptOfFewRowsAStepLeavesTheRestToOthers) {
  RunningSequence scored = Prompt(50);
  scored.prompt_rows_max = 8;
  RunningSequence waits = Prompt(50);
  waits.prompt_rows_max = 0;
  const StepPlan plan = PlanStep({.rows_per_step = 20}, kPlenty, {scored, waits, Prompt(50)});
  EXPECT_EQ(plan.prefill, (Parts{{0, 8}, {2, 12}}));
  EXPECT_TRUE(plan.decode.empty());
}

TEST(SchedulerTest, ASlowReaderStopsOnlyItsOwnSequence) {
  RunningSequence slow = Answer();
  slow.has_room = false;
  const StepPlan plan = PlanStep({.rows_per_step = 4}, kPlenty, {slow, Answer()});
  EXPECT_EQ(plan.decode, (Parts{{1, 1}}));
}

TEST(SchedulerTest, MoreDecodesThanRowsStillAllDecodeAndAPromptGoesOn) {
  const StepPlan plan =
      PlanStep({.rows_per_step = 2}, kPlenty, {Answer(), Answer(), Answer(), Prompt(5)});
  EXPECT_EQ(plan.decode.size(), 3u);
  EXPECT_EQ(plan.prefill, (Parts{{3, 1}}));
}

TEST(SchedulerTest, BesideDecodesPromptsTakeTheTimeOfSoManyFirstRows) {
  const SchedulerLimits limits = {
      .rows_per_step = 512, .prompt_rows_beside_decodes = 48, .prompt_key_cost = 0.001};
  RunningSequence late = Prompt(500);
  late.first_position = 1'000;  // Its rows take twice as long as a first one.
  EXPECT_EQ(PlanStep(limits, kPlenty, {Answer(), Prompt(500)}).prefill, (Parts{{1, 48}}));
  EXPECT_EQ(PlanStep(limits, kPlenty, {Answer(), late}).prefill, (Parts{{1, 24}}));
  EXPECT_EQ(PlanStep(limits, kPlenty, {Answer(), Prompt(10), late, late}).prefill,
            (Parts{{1, 10}, {2, 19}}));
  EXPECT_EQ(PlanStep(limits, kPlenty, {Answer(), Prompt(20), late}).prefill, (Parts{{1, 20}}))
      << "14 rows are left, which are too few";
  EXPECT_EQ(PlanStep(limits, kPlenty, {late}).prefill, (Parts{{0, 500}})) << "nobody waits";
  late.first_position = 1'000'000;
  EXPECT_EQ(PlanStep(limits, kPlenty, {Answer(), late, Prompt(500)}).prefill, (Parts{{1, 16}}))
      << "it goes on, and leaves nothing to others";
  EXPECT_EQ(PlanStep({.prompt_rows_beside_decodes = 1}, kPlenty, {Answer(), Prompt(9)}).prefill,
            (Parts{{1, 1}}));
}

TEST(SchedulerTest, NothingToDoIsAnEmptyPlan) {
  EXPECT_TRUE(PlanStep({}, kPlenty, {}).empty());
  RunningSequence slow = Answer();
  slow.has_room = false;
  EXPECT_TRUE(PlanStep({}, 0, {slow}).empty());
}

TEST(SchedulerTest, AResumedAnswerIsRunAgainInPieces) {
  const StepPlan plan = PlanStep({.rows_per_step = 40}, kPlenty,
                                 {Answer(20), Answer(), Answer(20), Answer(9), Prompt(50)});
  EXPECT_EQ(plan.decode, (Parts{{0, 20}, {1, 1}, {2, 12}})) << "others decode beside it";
  EXPECT_EQ(plan.prefill, (Parts{{4, 7}}));
}

TEST(SchedulerTest, NobodyIsPreemptedWhileThereArePages) {
  const std::vector<RunningSequence> running = {Full(1, 1), Full(4, 2), Answer()};
  EXPECT_TRUE(PlanStep({}, 3, running).preempt.empty());
  EXPECT_FALSE(PlanStep({}, 2, running).preempt.empty()) << "the last one has no page yet either";
}

TEST(SchedulerTest, WhoWasAdmittedLastGivesItsPages) {
  const StepPlan plan = PlanStep({}, 0, {Full(2, 2), Full(1, 1), Full(3, 3)});
  EXPECT_EQ(plan.preempt, (std::vector<int64_t>{2}));
  EXPECT_EQ(plan.decode, (Parts{{0, 1}, {1, 1}}));
}

TEST(SchedulerTest, WhoWaitsForItsReaderGivesBeforeAllOthers) {
  RunningSequence slow = Full(5, 5);
  slow.has_room = false;
  const StepPlan plan = PlanStep({}, 0, {slow, Full(1, 1), Full(2, 2)});
  EXPECT_EQ(plan.preempt, (std::vector<int64_t>{0})) << "though it was admitted first";
  EXPECT_EQ(plan.decode, (Parts{{1, 1}, {2, 1}}));
}

TEST(SchedulerTest, AsManyGiveTheirPagesAsAreNeeded) {
  const StepPlan plan = PlanStep({}, 0, {Full(9, 9), Full(1, 1), Full(1, 1), Full(1, 1)});
  EXPECT_EQ(plan.preempt, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(plan.decode, (Parts{{0, 1}, {1, 1}}));
}

TEST(SchedulerTest, OfTheTenantThatCameLastTheLeastUrgentGives) {
  const StepPlan plan = PlanStep({}, 0,
                                 {Full(1, 1, "a", 9), Full(1, 1, "b", 5), Full(1, 1, "b", 7),
                                  Full(1, 1, "a"), Full(2, 2, "b", -3)});
  EXPECT_EQ(plan.preempt, (std::vector<int64_t>{2, 1, 4}))
      << "b's, by urgency; a's 9 says nothing to b";
}

TEST(SchedulerTest, APromptThatHoldsPagesGivesThemButNotOneWithoutAny) {
  RunningSequence recorded = Prompt(5);
  RunningSequence unrecorded = Prompt(5);
  unrecorded.serving_pages = 2;
  const StepPlan plan = PlanStep({}, 0, {Full(1, 1), unrecorded, recorded});
  EXPECT_EQ(plan.preempt, (std::vector<int64_t>{1}));
  EXPECT_EQ(plan.prefill, (Parts{{2, 5}}));
}

TEST(SchedulerTest, AnAnswerThatHasNoPageYetWaitsForOne) {
  const StepPlan plan = PlanStep({}, 1, {Answer(), Answer(), Answer()});
  EXPECT_EQ(plan.preempt, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(plan.decode, (Parts{{0, 1}}));
}

}  // namespace
}  // namespace alchemist
