#include "tools/quickstart/expectations.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/logging.h"
#include "tools/quickstart/format.h"

namespace alchemist {
namespace {

constexpr int64_t kFactsCorrectedMin = 100;
constexpr int64_t kFactsRetainedMin = 300;
constexpr double kCorrectedBeforeMax = 0.2;
constexpr double kCorrectedAfterMin = 0.9;
constexpr double kRetainedLossMax = 0.03;
constexpr double kToServedSecondsMax = 10;
constexpr double kFirstPassReusedMin = 0.95;
constexpr double kRunSecondsMax = 300;

// NaN meets nothing.
Expectation AtMost(std::string name, double value, double bound) {
  return {std::move(name), absl::StrFormat("at most %g", bound), FormatNumber(value),
          value <= bound};
}

Expectation AtLeast(std::string name, double value, double bound) {
  return {std::move(name), absl::StrFormat("at least %g", bound), FormatNumber(value),
          value >= bound};
}

// Takes over from `run` what is worse there, whatever that is for `member`.
template <typename T>
void Raise(T RunResult::*member, const RunResult& run, RunResult& worst) {
  worst.*member = std::max(worst.*member, run.*member);
}
template <typename T>
void Lower(T RunResult::*member, const RunResult& run, RunResult& worst) {
  worst.*member = std::min(worst.*member, run.*member);
}

void TakeWorseAccuracy(const RunResult& run, RunResult& worst) {
  if (run.corrected_before.accuracy() > worst.corrected_before.accuracy()) {
    worst.corrected_before = run.corrected_before;
  }
  if (run.corrected_after.accuracy() < worst.corrected_after.accuracy()) {
    worst.corrected_after = run.corrected_after;
  }
  if (run.retained_loss() > worst.retained_loss()) {
    worst.retained_before = run.retained_before;
    worst.retained_after = run.retained_after;
  }
}

void TakeWorsePasses(PassTokens RunResult::*member, const RunResult& run, RunResult& worst) {
  (worst.*member).reused = std::min((worst.*member).reused, (run.*member).reused);
  (worst.*member).recomputed = std::max((worst.*member).recomputed, (run.*member).recomputed);
}

}  // namespace

RunResult WorstOf(absl::Span<const RunResult> runs) {
  CHECK(!runs.empty());
  RunResult worst = runs.front();
  for (const RunResult& run : runs.subspan(1)) {
    TakeWorseAccuracy(run, worst);
    // The share of first passes is one run's, like the loss of accuracy.
    if (run.first_pass_reused_share() < worst.first_pass_reused_share()) {
      worst.first_pass = run.first_pass;
    }
    TakeWorsePasses(&RunResult::later_passes, run, worst);
    TakeWorsePasses(&RunResult::replay, run, worst);
    for (const auto member :
         {&RunResult::facts_corrected, &RunResult::facts_retained, &RunResult::feedback_sent,
          &RunResult::feedback_served, &RunResult::facts_seen_right, &RunResult::revisions}) {
      Lower(member, run, worst);
    }
    for (const auto member :
         {&RunResult::feedback_to_served_seconds_p50, &RunResult::feedback_to_served_seconds_p95,
          &RunResult::ttft_ms_p50_idle, &RunResult::ttft_ms_p50_training,
          &RunResult::ms_per_token_p50_idle, &RunResult::ms_per_token_p50_training,
          &RunResult::seconds}) {
      Raise(member, run, worst);
    }
    Raise(&RunResult::first_pass_beyond_drift, run, worst);
    Raise(&RunResult::steps, run, worst);
  }
  return worst;
}

std::vector<Expectation> Judge(const RunResult& worst) {
  return {
      AtLeast("facts corrected", static_cast<double>(worst.facts_corrected), kFactsCorrectedMin),
      AtLeast("untouched facts asked", static_cast<double>(worst.facts_retained),
              kFactsRetainedMin),
      AtMost("accuracy on corrected facts before", worst.corrected_before.accuracy(),
             kCorrectedBeforeMax),
      AtLeast("accuracy on corrected facts after", worst.corrected_after.accuracy(),
              kCorrectedAfterMin),
      AtMost("accuracy lost on untouched facts", worst.retained_loss(), kRetainedLossMax),
      AtMost("seconds from feedback to a right answer, p50", worst.feedback_to_served_seconds_p50,
             kToServedSecondsMax),
      AtLeast("share of first-pass prompt tokens reused", worst.first_pass_reused_share(),
              kFirstPassReusedMin),
      AtMost("seconds of one run", worst.seconds, kRunSecondsMax),
  };
}

bool AllMet(absl::Span<const Expectation> expectations) {
  return std::all_of(expectations.begin(), expectations.end(),
                     [](const Expectation& expectation) { return expectation.met; });
}

}  // namespace alchemist
