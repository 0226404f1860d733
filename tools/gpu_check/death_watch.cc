#include "tools/gpu_check/death_watch.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"

namespace alchemist {
namespace {

constexpr int64_t kQuietUs = 300'000;     // Without a write for so long, writes have ended.
constexpr int64_t kWatchUs = 10'000'000;  // Longer than any kernel that is watched.
constexpr int kPollMs = 1;

int64_t NowUs() { return Clock::Real()->MonotonicUs(); }

absl::StatusOr<int64_t> Beat(CheckRun& run, AgentProcess& exporter) {
  ASSIGN_OR_RETURN(const AgentMessage answer, run.Ask(exporter, "read_word"));
  return answer.Integer("value");
}

// Whether the driver lists `pid`; what cannot be asked counts as `otherwise`.
bool IsListed(const CheckRun& run, pid_t pid, bool otherwise) {
  if (run.nvml() == nullptr) return otherwise;
  const auto users = run.nvml()->Users(run.uuid());
  if (!users.ok()) return otherwise;
  return std::any_of(users->begin(), users->end(),
                     [pid](const Nvml::User& user) { return user.pid == pid; });
}

bool IsOver(const Death& death, int64_t us) {
  const bool gone = death.pidfd_us.has_value() && (!death.is_listed || death.driver_us.has_value());
  return gone && us - death.last_write_us > kQuietUs;
}

// No number for none.
double UsOf(const std::optional<int64_t>& us) {
  return us.has_value() ? static_cast<double>(*us) : std::numeric_limits<double>::quiet_NaN();
}

int CountOf(absl::Span<const Death> deaths, bool (*is_so)(const Death&)) {
  return static_cast<int>(std::count_if(deaths.begin(), deaths.end(), is_so));
}

void AddDeaths(absl::Span<const Death> deaths, CheckResult& result) {
  for (size_t i = 0; i < deaths.size(); ++i) {
    const std::string row = absl::StrCat("kill_", i + 1);
    AddMeasurement(result, row + "/pidfd_readable", UsOf(deaths[i].pidfd_us), "us");
    AddMeasurement(result, row + "/driver_drops_it", UsOf(deaths[i].driver_us), "us");
    AddMeasurement(result, row + "/last_write_seen", static_cast<double>(deaths[i].last_write_us),
                   "us");
  }
}

}  // namespace

absl::Status StartBeating(CheckRun& run, SharedArena& arena, int64_t ms, int count) {
  ASSIGN_OR_RETURN(const int64_t before, Beat(run, *arena.exporter));
  RETURN_IF_ERROR(run.Ask(*arena.importer, "spin", {{"ms", ms}, {"count", count}}).status());
  const int64_t end_us = NowUs() + kWatchUs;
  while (NowUs() < end_us) {
    ASSIGN_OR_RETURN(const int64_t beat, Beat(run, *arena.exporter));
    if (beat != before) return absl::OkStatus();
    poll(nullptr, 0, kPollMs);
  }
  return absl::DeadlineExceededError("the kernel did not begin to write");
}

absl::StatusOr<int64_t> WatchBeatsEnd(CheckRun& run, AgentProcess& exporter) {
  ASSIGN_OR_RETURN(int64_t beat, Beat(run, exporter));
  const int64_t start_us = NowUs();
  int64_t last_change_us = 0;
  while (NowUs() - start_us - last_change_us < kQuietUs && NowUs() - start_us < kWatchUs) {
    ASSIGN_OR_RETURN(const int64_t now, Beat(run, exporter));
    if (now != beat) last_change_us = NowUs() - start_us;
    beat = now;
    poll(nullptr, 0, kPollMs);
  }
  return last_change_us;
}

absl::StatusOr<Death> WatchDeath(CheckRun& run, SharedArena& arena) {
  const pid_t pid = arena.importer->process().pid();
  Death death;
  death.is_listed = IsListed(run, pid, false);
  RETURN_IF_ERROR(StartBeating(run, arena, run.form().spin_ms, 1));
  ASSIGN_OR_RETURN(int64_t beat, Beat(run, *arena.exporter));
  const int64_t start_us = NowUs();
  arena.importer->process().Signal(SIGKILL);
  while (NowUs() - start_us < kWatchUs && !IsOver(death, NowUs() - start_us)) {
    // Whether these ends were seen before the last read of the beat.
    const bool after_pidfd = death.pidfd_us.has_value();
    const bool after_driver = death.driver_us.has_value();
    if (!after_pidfd && arena.importer->process().WaitForExit(0)) {
      death.pidfd_us = NowUs() - start_us;
    }
    if (death.is_listed && !after_driver && !IsListed(run, pid, true)) {
      death.driver_us = NowUs() - start_us;
    }
    ASSIGN_OR_RETURN(const int64_t now, Beat(run, *arena.exporter));
    if (now != beat) {
      death.last_write_us = NowUs() - start_us;
      death.wrote_after_pidfd |= after_pidfd;
      death.wrote_after_driver |= after_driver;
    }
    beat = now;
    poll(nullptr, 0, kPollMs);
  }
  return death;
}

void JudgeDeaths(absl::Span<const Death> deaths, absl::string_view why_unlisted,
                 CheckResult& result) {
  AddDeaths(deaths, result);
  const int all = static_cast<int>(deaths.size());
  const int never = CountOf(deaths, [](const Death& d) {
    return !d.pidfd_us.has_value() || (d.is_listed && !d.driver_us.has_value());
  });
  const int unlisted = CountOf(deaths, [](const Death& d) { return !d.is_listed; });
  const int after_pidfd = CountOf(deaths, [](const Death& d) { return d.wrote_after_pidfd; });
  const int after_driver = CountOf(deaths, [](const Death& d) { return d.wrote_after_driver; });
  const int after_both =
      CountOf(deaths, [](const Death& d) { return d.wrote_after_pidfd && d.wrote_after_driver; });
  result.happened = absl::StrCat(
      "of ", all, " deaths, something was written in ", after_pidfd,
      " after the pidfd was readable, in ", after_driver,
      " after the driver had dropped the process, in ", after_both, " after both",
      unlisted > 0 ? absl::StrCat("; the driver's list was not to be had: ", why_unlisted) : "",
      never > 0 ? absl::StrCat("; in ", never, " an end was not seen within ten seconds") : "");
  if (never > 0 || after_both > 0) {
    result.verdict = CheckVerdict::kFail;
    result.consequence = "no sign says that a dead trainer's kernels have ended";
  } else if (unlisted > 0) {
    result.verdict = after_pidfd > 0 ? CheckVerdict::kFail : CheckVerdict::kMeasured;
    result.consequence = "memory has only the pidfd to wait for here";
  } else {
    result.verdict = CheckVerdict::kPass;
    result.consequence = absl::StrCat("memory waits for the pidfd and for the driver",
                                      after_pidfd > 0    ? ": the pidfd alone is too early"
                                      : after_driver > 0 ? ": the driver's list alone is too early"
                                                         : "; neither alone was too early here");
  }
}

}  // namespace alchemist
