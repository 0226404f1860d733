#include "tools/quickstart/quickstart_run.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/random.h"
#include "tools/quickstart/exam.h"
#include "tools/quickstart/format.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int64_t kStatusIntervalUs = 300'000;
constexpr int64_t kFeedbackIntervalUs = 700'000;
// Longer than the first requests of a connection take.
constexpr double kWarmUpSeconds = 1;
constexpr double kExamSecondsMax = 300;

int64_t NowUs() { return Clock::Real()->MonotonicUs(); }

void Limit(int64_t max, std::vector<Fact>& facts) {
  if (max > 0 && max < static_cast<int64_t>(facts.size())) facts.resize(static_cast<size_t>(max));
}

}  // namespace

QuickstartRun::QuickstartRun(QuickstartOptions options, uint64_t seed, const std::string& title,
                             Screen* screen)
    : options_(std::move(options)),
      world_(World::Make(kWorldSeed)),
      trial_(Trial::Draw(world_, seed)),
      screen_(screen),
      begin_us_(NowUs()) {
  Limit(options_.corrected_max, trial_.corrections);
  Limit(options_.retained_max, trial_.retained);
  result_.seed = seed;
  result_.facts_corrected = static_cast<int64_t>(trial_.corrections.size());
  result_.facts_retained = static_cast<int64_t>(trial_.retained.size());
  progress_.run = title;
  progress_.facts = result_.facts_corrected;
}

absl::StatusOr<RunResult> QuickstartRun::Run() {
  const absl::Status status = RunPhases();
  screen_->Finish(progress_);
  RETURN_IF_ERROR(status);
  return result_;
}

absl::Status QuickstartRun::RunPhases() {
  RETURN_IF_ERROR(ExamineBefore());
  RETURN_IF_ERROR(MeasureIdle());
  RETURN_IF_ERROR(Learn());
  RETURN_IF_ERROR(ExamineAfter());
  progress_.phase = "done";
  result_.seconds = progress_.seconds = static_cast<double>(NowUs() - begin_us_) / 1e6;
  return absl::OkStatus();
}

absl::Status QuickstartRun::ExamineBefore() {
  RETURN_IF_ERROR(Start("before", /*with_trainer=*/false));
  RETURN_IF_ERROR(
      Examine("before any feedback", result_.corrected_before, result_.retained_before));
  daemons_.reset();
  return absl::OkStatus();
}

absl::Status QuickstartRun::MeasureIdle() {
  RETURN_IF_ERROR(Start("learning", /*with_trainer=*/true));
  std::vector<QuizItem> quiz = MakeQuiz(world_, trial_.traffic, FormUse::kAsk);
  Random random(result_.seed);
  Shuffle(quiz, random);
  traffic_.emplace(&daemons_->client(), std::move(quiz), options_.traffic_per_second);
  traffic_->Start();
  const auto never = [] { return false; };
  RETURN_IF_ERROR(WatchUntil("clients begin to ask", kWarmUpSeconds, never).status());
  traffic_->TakeLatencies();
  RETURN_IF_ERROR(
      WatchUntil("clients ask, nobody corrects", options_.idle_seconds, never).status());
  const Latencies idle = traffic_->TakeLatencies();
  result_.ttft_ms_p50_idle = Percentile(idle.ttft_ms, 0.5);
  result_.ms_per_token_p50_idle = Percentile(idle.ms_per_token, 0.5);
  return absl::OkStatus();
}

absl::Status QuickstartRun::Learn() {
  clients_.emplace(&daemons_->client(), world_, trial_.corrections, options_.pace);
  clients_->Start();
  bool published = false;
  RETURN_IF_ERROR(WatchUntil("clients ask and correct, the model learns",
                             options_.learn_seconds_max,
                             [&]() -> absl::StatusOr<bool> {
                               if (published)
                                 return clients_->Finished(last_status_.revision().number());
                               if (NowUs() < next_feedback_us_) return false;
                               next_feedback_us_ = NowUs() + kFeedbackIntervalUs;
                               ASSIGN_OR_RETURN(published, ReadFeedback());
                               return false;
                             })
                      .status());
  clients_->Stop();
  traffic_->Stop();
  const Latencies training = traffic_->TakeLatencies();
  result_.ttft_ms_p50_training = Percentile(training.ttft_ms, 0.5);
  result_.ms_per_token_p50_training = Percentile(training.ms_per_token, 0.5);
  const std::vector<double> seconds = clients_->SecondsToServed();
  result_.feedback_to_served_seconds_p50 = Percentile(seconds, 0.5);
  result_.feedback_to_served_seconds_p95 = Percentile(seconds, 0.95);
  const Lessons::Counts counts = clients_->counts();
  result_.facts_corrected = counts.begun;  // All, unless the time was over.
  result_.facts_seen_right = counts.seen;
  result_.feedback_sent = counts.feedback;
  result_.feedback_served = counts.served;
  return absl::OkStatus();
}

// What serves is held still: training is told to pause, and what it may still publish is not
// swapped in.
absl::Status QuickstartRun::ExamineAfter() {
  RETURN_IF_ERROR(daemons_->client().PauseTraining());
  RETURN_IF_ERROR(daemons_->client().Pin(true));
  RETURN_IF_ERROR(ReadStatus());
  TakeTokens(last_status_.tokens());
  result_.steps = last_status_.steps();
  ASSIGN_OR_RETURN(const std::vector<v1::RevisionInfo> revisions,
                   daemons_->client().ListRevisions());
  result_.revisions = static_cast<int64_t>(revisions.size()) - 1;  // The first was not published.
  return Examine("after learning", result_.corrected_after, result_.retained_after);
}

absl::Status QuickstartRun::Examine(const std::string& phase, Score& corrected, Score& retained) {
  RETURN_IF_ERROR(ReadStatus());
  ASSIGN_OR_RETURN(corrected, Ask(phase + ": corrected facts", trial_.corrections));
  ASSIGN_OR_RETURN(retained, Ask(phase + ": untouched facts", trial_.retained));
  progress_.accuracy = absl::StrCat("corrected facts ", FormatNumber(corrected.accuracy()),
                                    ", untouched ", FormatNumber(retained.accuracy()), ", ", phase);
  return absl::OkStatus();
}

absl::StatusOr<Score> QuickstartRun::Ask(const std::string& phase, const std::vector<Fact>& facts) {
  std::vector<QuizItem> quiz = MakeQuiz(world_, facts, FormUse::kTest);
  progress_.asked_of = static_cast<int64_t>(quiz.size());
  Exam exam(&daemons_->client(), std::move(quiz), last_status_.revision().number());
  exam.Start();
  ASSIGN_OR_RETURN(const bool ended,
                   WatchUntil("exam " + phase, kExamSecondsMax, [&]() -> absl::StatusOr<bool> {
                     RETURN_IF_ERROR(exam.status());
                     progress_.asked = exam.score().asked;
                     return exam.ended();
                   }));
  if (!ended) return absl::DeadlineExceededError(absl::StrCat("exam ", phase));
  progress_.asked = progress_.asked_of = 0;
  return exam.score();
}

absl::Status QuickstartRun::Start(const std::string& name, bool with_trainer) {
  progress_.phase = with_trainer ? "server and trainer start" : "the server starts";
  screen_->Show(progress_, NowUs());
  DaemonsOptions options = options_.daemons;
  absl::StrAppend(&options.directory, "/", name);
  // Facts lie in the MLPs: an adapter there alone learns them as well, and forgets less of the
  // rest.
  options.server_flags.insert(options.server_flags.begin(),
                              {absl::StrCat("--adapter_seed=", result_.seed),
                               "--adapter_targets=gate_proj,up_proj,down_proj"});
  daemons_.emplace(std::move(options));
  RETURN_IF_ERROR(daemons_->StartServer());
  if (!with_trainer) return absl::OkStatus();
  RETURN_IF_ERROR(daemons_->StartTrainer());
  return daemons_->WaitForTrainer(v1::TRAINER_STATE_ACTIVE);
}

absl::StatusOr<bool> QuickstartRun::WatchUntil(const std::string& phase, double seconds_max,
                                               const std::function<absl::StatusOr<bool>()>& look) {
  progress_.phase = phase;
  const auto timeout_us = static_cast<int64_t>(seconds_max * 1e6);
  const int64_t end_us = NowUs() + timeout_us;
  absl::StatusOr<bool> done = false;
  RETURN_IF_ERROR(daemons_->WaitFor(
      phase,
      [&] {
        const absl::Status status = Look();
        done = status.ok() ? look() : status;
        screen_->Show(progress_, NowUs());
        return !done.ok() || *done || NowUs() >= end_us;
      },
      timeout_us + Daemons::kDeadlineUs));
  return done;
}

absl::Status QuickstartRun::Look() {
  progress_.seconds = static_cast<double>(NowUs() - begin_us_) / 1e6;
  if (daemons_->TrainerFailed()) {
    return absl::InternalError(absl::StrCat("the trainer ended\n", daemons_->Logs()));
  }
  if (NowUs() >= next_status_us_) RETURN_IF_ERROR(ReadStatus());
  if (traffic_.has_value()) {
    RETURN_IF_ERROR(traffic_->status());
    progress_.ttft_ms = traffic_->recent_ttft_ms();
  }
  if (clients_.has_value()) {
    RETURN_IF_ERROR(clients_->status());
    const Lessons::Counts counts = clients_->counts();
    progress_.facts_begun = counts.begun;
    progress_.facts_seen_right = counts.seen;
    progress_.feedback_sent = counts.feedback;
    progress_.feedback_served = counts.served;
  }
  return absl::OkStatus();
}

absl::Status QuickstartRun::ReadStatus() {
  next_status_us_ = NowUs() + kStatusIntervalUs;
  ASSIGN_OR_RETURN(last_status_, daemons_->client().GetStatus());
  progress_.revision = last_status_.revision().number();
  progress_.steps = last_status_.steps();
  TakeTokens(last_status_.tokens());
  progress_.tokens_reused = result_.tokens_reused();
  progress_.tokens_recomputed = result_.tokens_recomputed();
  if (clients_.has_value()) clients_->OnServing(progress_.revision);
  return absl::OkStatus();
}

absl::StatusOr<bool> QuickstartRun::ReadFeedback() {
  ASSIGN_OR_RETURN(const std::vector<v1::Feedback> feedback, daemons_->client().ListFeedback());
  for (const v1::Feedback& entry : feedback) {
    if (entry.state() == v1::FEEDBACK_STATE_DONE && entry.has_first_revision()) {
      clients_->OnFeedbackServed(entry.feedback_id());
    }
  }
  const Lessons::Counts counts = clients_->counts();
  if (counts.begun < result_.facts_corrected || counts.served < counts.feedback) return false;
  ASSIGN_OR_RETURN(const bool published, AllPassesPublished(feedback));
  if (published) RETURN_IF_ERROR(ReadStatus());  // Of the revision that serves from now on.
  return published;
}

// A checkpoint says that feedback is done a moment before the revision with its last pass serves.
absl::StatusOr<bool> QuickstartRun::AllPassesPublished(const std::vector<v1::Feedback>& feedback) {
  ASSIGN_OR_RETURN(const std::vector<v1::RevisionInfo> revisions,
                   daemons_->client().ListRevisions());
  absl::flat_hash_map<std::string, int64_t> passes;
  for (const v1::RevisionInfo& revision : revisions) {
    for (const v1::FeedbackPasses& entry : revision.lineage()) {
      passes[entry.feedback_id()] += entry.passes();
    }
  }
  return std::all_of(feedback.begin(), feedback.end(), [&](const v1::Feedback& entry) {
    return passes[entry.feedback_id()] >= entry.passes();
  });
}

void QuickstartRun::TakeTokens(const v1::TokenCounts& tokens) {
  result_.first_pass = {tokens.first_pass_prompt_reused(), tokens.first_pass_prompt_recomputed()};
  result_.first_pass_beyond_drift = tokens.first_pass_beyond_drift();
  result_.later_passes = {tokens.later_pass_reused(), tokens.later_pass_recomputed()};
  result_.replay = {tokens.replay_reused(), tokens.replay_recomputed()};
}

}  // namespace alchemist
