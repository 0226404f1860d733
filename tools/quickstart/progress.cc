#include "tools/quickstart/progress.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/quickstart/format.h"

namespace alchemist {
namespace {

constexpr int64_t kBarWidth = 25;

std::string Bar(int64_t done, int64_t all) {
  const int64_t filled = all == 0 ? 0 : std::min(kBarWidth, done * kBarWidth / all);
  return absl::StrCat("[", std::string(static_cast<size_t>(filled), '#'),
                      std::string(static_cast<size_t>(kBarWidth - filled), '.'), "]");
}

// The exam that runs, or what the last ones gave.
std::string Exam(const Progress& progress) {
  if (progress.asked_of == 0) return progress.accuracy;
  return absl::StrCat(Bar(progress.asked, progress.asked_of), " ", FormatCount(progress.asked),
                      " of ", FormatCount(progress.asked_of), " questions");
}

std::string Latency(const Progress& progress) {
  return std::isfinite(progress.ttft_ms)
             ? absl::StrCat("first token after ", FormatNumber(progress.ttft_ms), " ms")
             : "";
}

}  // namespace

std::string FormatTable(const Progress& progress) {
  const auto seconds = static_cast<int64_t>(progress.seconds);
  std::string text = absl::StrFormat("Alchemist quickstart   %-40s %7d:%02d\n", progress.run,
                                     seconds / 60, seconds % 60);
  absl::StrAppendFormat(&text, "  %-12s %s\n", "now", progress.phase);
  absl::StrAppendFormat(&text, "  %-12s %s\n", "accuracy", Exam(progress));
  absl::StrAppendFormat(&text, "  %-12s %s %d of %d facts\n", "corrected",
                        Bar(progress.facts_begun, progress.facts), progress.facts_begun,
                        progress.facts);
  absl::StrAppendFormat(&text, "  %-12s %s %d of %d, asked in other words\n", "seen right",
                        Bar(progress.facts_seen_right, progress.facts), progress.facts_seen_right,
                        progress.facts);
  absl::StrAppendFormat(&text, "  %-12s %s %d of %d feedback\n", "served",
                        Bar(progress.feedback_served, progress.feedback_sent),
                        progress.feedback_served, progress.feedback_sent);
  absl::StrAppendFormat(&text, "  %-12s revision %d   %s\n", "serving", progress.revision,
                        Latency(progress));
  absl::StrAppendFormat(&text, "  %-12s %d steps   prompt tokens reused %s, recomputed %s\n",
                        "training", progress.steps, FormatCount(progress.tokens_reused),
                        FormatCount(progress.tokens_recomputed));
  return text;
}

std::string FormatLine(const Progress& progress) {
  std::string text = absl::StrFormat("[%4.0f s] %s:", progress.seconds, progress.phase);
  if (progress.asked_of > 0) {
    if (progress.asked > 0) absl::StrAppend(&text, " ", progress.asked, " of");
    return absl::StrCat(text, " ", progress.asked_of, " questions");
  }
  absl::StrAppendFormat(
      &text,
      " corrected %d of %d, seen right %d, feedback served %d of %d; revision %d, %d steps, "
      "tokens reused %s, recomputed %s",
      progress.facts_begun, progress.facts, progress.facts_seen_right, progress.feedback_served,
      progress.feedback_sent, progress.revision, progress.steps,
      FormatCount(progress.tokens_reused), FormatCount(progress.tokens_recomputed));
  if (const std::string latency = Latency(progress); !latency.empty()) {
    absl::StrAppend(&text, "; ", latency);
  }
  return text;
}

}  // namespace alchemist
