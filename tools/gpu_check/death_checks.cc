#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "tools/gpu_check/checks.h"
#include "tools/gpu_check/shared_arena.h"

namespace alchemist {
namespace {

constexpr int64_t kExitUs = 10'000'000;      // What a killed process may take to be gone.
constexpr int64_t kGivenBackUs = 3'000'000;  // What the driver may take to give memory back.
constexpr int64_t kQuietUs = 300'000;        // Without a write for so long, writes have ended.
constexpr int64_t kWatchUs = 10'000'000;     // Longer than any kernel that is watched.
constexpr int kQueuedKernels = 20;           // Behind the stopped process, of a tenth of spin_ms.
constexpr int kPollMs = 1;
// A gigabyte of an arena counts as given back when this share of it is free.
constexpr double kMostOf = 0.9;

int64_t NowUs() { return Clock::Real()->MonotonicUs(); }

absl::Status KillAndWait(AgentProcess& agent, const std::string& name) {
  agent.process().Signal(SIGKILL);
  if (agent.process().WaitForExit(kExitUs)) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("the killed ", name, " was not gone within ", kExitUs / 1'000'000, " s"));
}

// An importer that has memory mapped whose exporter is dead, and an onlooker that sees how much of
// the device is free.
struct Orphaned {
  std::unique_ptr<AgentProcess> onlooker;
  std::unique_ptr<AgentProcess> importer;
  int64_t bytes = 0;
  int64_t bytes_free_without = 0;  // At least so much is free when the memory is back.
};

// Takes the exporter's life. The other contexts, that of the dead exporter too, are small beside
// what is shared.
absl::Status Orphan(CheckRun& run, AgentProcess& exporter, Orphaned& orphaned) {
  ASSIGN_OR_RETURN(const AgentMessage before, run.Ask(*orphaned.onlooker, "bytes_free"));
  orphaned.bytes_free_without =
      before.Integer("bytes") + static_cast<int64_t>(kMostOf * static_cast<double>(orphaned.bytes));
  return KillAndWait(exporter, "exporter");
}

absl::StatusOr<Orphaned> OrphanArena(CheckRun& run) {
  Orphaned orphaned;
  ASSIGN_OR_RETURN(orphaned.onlooker, run.StartAgent("onlooker"));
  ASSIGN_OR_RETURN(SharedArena arena, ShareArena(run, ArenaOf(run.form())));
  orphaned.importer = std::move(arena.importer);
  orphaned.bytes = arena.bytes;
  RETURN_IF_ERROR(Orphan(run, *arena.exporter, orphaned));
  return orphaned;
}

absl::StatusOr<bool> IsGivenBack(CheckRun& run, Orphaned& orphaned) {
  return WaitForBytesFree(run, *orphaned.onlooker, orphaned.bytes_free_without, kGivenBackUs);
}

// Says what happened, whether the importer could still read.
void DescribeOrphan(CheckRun& run, Orphaned& orphaned, const std::string& where,
                    CheckResult& result) {
  const auto wrong = Mismatches(run, *orphaned.importer, where, kExportersSeed);
  const bool readable = wrong.ok() && *wrong == 0;
  result.happened = absl::StrCat(
      "the importer ",
      readable
          ? "still read every word"
          : absl::StrCat("could not read it: ", wrong.ok() ? absl::StrCat(*wrong, " words differed")
                                                           : std::string(wrong.status().message())),
      "; the driver charged it ", ChargedText(run, orphaned.importer->process().pid()));
  AddMeasurement(result, "arena_mib", static_cast<double>(orphaned.bytes >> 20), "MiB");
  AddMeasurement(result, "readable_after_death", readable ? 1 : 0, "yes");
  result.verdict = CheckVerdict::kMeasured;
}

absl::Status CheckExporter(CheckRun& run, CheckResult& result) {
  result.done = "killed the exporter with -9 while the importer had the arena mapped";
  ASSIGN_OR_RETURN(Orphaned orphaned, OrphanArena(run));
  DescribeOrphan(run, orphaned, "arena", result);
  result.consequence = "when serving dies the trainer unmaps at once: its mapping holds the memory";
  return absl::OkStatus();
}

// What may have given the memory back.
struct Stage {
  std::string name;
  std::string request;  // Of the importer; empty: none.
};

absl::Status CheckExporterReclaim(CheckRun& run, CheckResult& result) {
  result.done = "after the exporter's death had the importer unmap, release, close and exit";
  ASSIGN_OR_RETURN(Orphaned orphaned, OrphanArena(run));
  std::vector<std::string> held;
  for (const Stage& stage :
       {Stage{"the exporter's death", ""}, Stage{"the importer's unmap", "unmap_arena"},
        Stage{"its release of the handles", "release_arena"},
        Stage{"its close of the descriptors", "close_descriptors"}, Stage{"its exit", ""}}) {
    if (!stage.request.empty()) {
      RETURN_IF_ERROR(run.Ask(*orphaned.importer, stage.request).status());
    } else if (!held.empty()) {
      RETURN_IF_ERROR(KillAndWait(*orphaned.importer, "importer"));
    }
    const int64_t start_us = NowUs();
    ASSIGN_OR_RETURN(const bool back, IsGivenBack(run, orphaned));
    if (!back) {
      held.push_back(stage.name);
      continue;
    }
    AddMeasurement(result, "given_back_us", static_cast<double>(NowUs() - start_us), "us");
    result.verdict = CheckVerdict::kMeasured;
    result.happened = absl::StrCat("the memory was back after ", stage.name,
                                   held.empty() ? "" : ", not after ", absl::StrJoin(held, ", "));
    result.consequence =
        held.empty()
            ? "a dead server's memory does not wait for the trainer"
            : "a dead server's memory waits for all of these in the trainer, in this order";
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError("the memory was not back even after both processes' death");
}

absl::Status CheckExporterLegacy(CheckRun& run, CheckResult& result) {
  result.done = "killed the exporter of a legacy allocation while the importer had it mapped";
  Orphaned orphaned;
  orphaned.bytes = run.form().arena_chunk_bytes * run.form().arena_chunks;
  ASSIGN_OR_RETURN(orphaned.onlooker, run.StartAgent("onlooker"));
  ASSIGN_OR_RETURN(auto exporter, run.StartAgent("exporter"));
  ASSIGN_OR_RETURN(orphaned.importer, run.StartAgent("importer"));
  ASSIGN_OR_RETURN(const AgentMessage allocated,
                   run.Ask(*exporter, "allocate", {{"bytes", orphaned.bytes}}));
  RETURN_IF_ERROR(
      run.Ask(*exporter, "fill", {{"where", "allocation"}, {"seed", kExportersSeed}}).status());
  RETURN_IF_ERROR(run.Ask(*orphaned.importer, "open_peer",
                          {{"handle", allocated.Text("handle")}, {"bytes", orphaned.bytes}})
                      .status());
  RETURN_IF_ERROR(Orphan(run, *exporter, orphaned));
  DescribeOrphan(run, orphaned, "peer_allocation", result);
  ASSIGN_OR_RETURN(const bool back_at_death, IsGivenBack(run, orphaned));
  RETURN_IF_ERROR(run.Ask(*orphaned.importer, "close_peer").status());
  ASSIGN_OR_RETURN(const bool back, IsGivenBack(run, orphaned));
  absl::StrAppend(&result.happened, back_at_death ? "; the memory was back at once"
                                    : back ? "; the memory was back after the importer's close"
                                           : "; closing the mapping gave nothing back");
  result.consequence = back_at_death
                           ? "a dead server's memory does not wait for the trainer"
                           : "the fallback frees nothing of a dead server while a trainer "
                             "maps it";
  return absl::OkStatus();
}

// What was seen of a death, in microseconds since the kill; -1: never.
struct Deaths {
  bool listed = false;  // By the driver, while the process lived.
  int64_t pidfd_us = -1;
  int64_t driver_us = -1;  // It is no longer listed.
  int64_t last_write_us = 0;
  // Between two reads that both came after the pidfd was readable, and after the driver had dropped
  // the process. (When a write is seen says only that it was made before.)
  bool wrote_after_pidfd = false;
  bool wrote_after_driver = false;
};

bool ListedBy(const Nvml& nvml, const std::string& uuid, pid_t pid) {
  const auto users = nvml.Users(uuid);
  return users.ok() && std::any_of(users->begin(), users->end(),
                                   [pid](const Nvml::User& user) { return user.pid == pid; });
}

absl::StatusOr<int64_t> Beat(CheckRun& run, AgentProcess& exporter) {
  ASSIGN_OR_RETURN(const AgentMessage answer, run.Ask(exporter, "read_word"));
  return answer.Integer("value");
}

// Returns once the kernel has been seen to beat.
absl::Status WaitForBeat(CheckRun& run, AgentProcess& exporter, int64_t since) {
  const int64_t end_us = NowUs() + kWatchUs;
  while (NowUs() < end_us) {
    ASSIGN_OR_RETURN(const int64_t beat, Beat(run, exporter));
    if (beat != since) return absl::OkStatus();
    poll(nullptr, 0, kPollMs);
  }
  return absl::DeadlineExceededError("the kernel did not begin to write");
}

// Kills the importer, and watches until all ends were seen or can no longer be.
absl::StatusOr<Deaths> WatchDeath(CheckRun& run, SharedArena& arena, bool listed) {
  Deaths deaths;
  deaths.listed = listed;
  const pid_t pid = arena.importer->process().pid();
  ASSIGN_OR_RETURN(int64_t beat, Beat(run, *arena.exporter));
  const int64_t start_us = NowUs();
  arena.importer->process().Signal(SIGKILL);
  while (NowUs() - start_us < kWatchUs) {
    // Whether these were true before the last read of the beat.
    const bool pidfd_before = deaths.pidfd_us >= 0;
    const bool driver_before = deaths.driver_us >= 0;
    if (!pidfd_before && arena.importer->process().WaitForExit(0)) {
      deaths.pidfd_us = NowUs() - start_us;
    }
    if (listed && !driver_before && !ListedBy(*run.nvml(), run.uuid(), pid)) {
      deaths.driver_us = NowUs() - start_us;
    }
    ASSIGN_OR_RETURN(const int64_t beat_now, Beat(run, *arena.exporter));
    if (beat_now != beat) {
      deaths.last_write_us = NowUs() - start_us;
      deaths.wrote_after_pidfd |= pidfd_before;
      deaths.wrote_after_driver |= driver_before;
    }
    beat = beat_now;
    const bool gone = deaths.pidfd_us >= 0 && (!listed || deaths.driver_us >= 0);
    if (gone && NowUs() - start_us - deaths.last_write_us > kQuietUs) break;
    poll(nullptr, 0, kPollMs);
  }
  return deaths;
}

std::string DeathText(const Deaths& deaths) {
  const std::string driver =
      !deaths.listed ? "the driver does not list our processes (a container?)"
      : deaths.driver_us < 0
          ? "the driver never dropped the process"
          : absl::StrCat("the driver dropped the process after ", deaths.driver_us, " us");
  return absl::StrCat("the pidfd was readable ", deaths.pidfd_us, " us after the kill, ", driver,
                      ", the last write was seen after ", deaths.last_write_us, " us");
}

void JudgeDeath(const Deaths& deaths, CheckResult& result) {
  AddMeasurement(result, "pidfd_readable_us", static_cast<double>(deaths.pidfd_us), "us");
  AddMeasurement(result, "last_write_us", static_cast<double>(deaths.last_write_us), "us");
  if (deaths.listed) {
    AddMeasurement(result, "driver_drops_process_us", static_cast<double>(deaths.driver_us), "us");
  }
  result.happened = DeathText(deaths);
  const bool driver_proves = deaths.driver_us >= 0 && !deaths.wrote_after_driver;
  if (!deaths.wrote_after_pidfd) {
    result.verdict = CheckVerdict::kPass;
    result.consequence = "a readable pidfd proves that a dead trainer's kernels have ended";
  } else if (driver_proves) {
    result.verdict = CheckVerdict::kPass;
    result.consequence =
        "a dead trainer's memory is used again only when the driver dropped it too";
  } else if (!deaths.listed) {
    result.verdict = CheckVerdict::kMeasured;
    result.consequence = "a readable pidfd is too early, and there is no list to wait for";
  } else {
    result.verdict = CheckVerdict::kFail;
    result.consequence = "nothing proves that a dead trainer's kernels have ended";
  }
}

absl::Status CheckImporter(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("killed the importer with -9 while its kernel of ", run.form().spin_ms,
                             " ms wrote to the arena");
  ASSIGN_OR_RETURN(SharedArena arena, ShareArena(run, ArenaOf(run.form())));
  const bool listed =
      run.nvml() != nullptr && ListedBy(*run.nvml(), run.uuid(), arena.importer->process().pid());
  ASSIGN_OR_RETURN(const int64_t before, Beat(run, *arena.exporter));
  RETURN_IF_ERROR(
      run.Ask(*arena.importer, "spin", {{"ms", run.form().spin_ms}, {"count", 1}}).status());
  RETURN_IF_ERROR(WaitForBeat(run, *arena.exporter, before));
  ASSIGN_OR_RETURN(const Deaths deaths, WatchDeath(run, arena, listed));
  JudgeDeath(deaths, result);
  return absl::OkStatus();
}

absl::Status CheckImporterStopped(CheckRun& run, CheckResult& result) {
  const int64_t kernel_ms = run.form().spin_ms / 10;
  result.done = absl::StrCat("stopped the importer (SIGSTOP) with ", kQueuedKernels, " kernels of ",
                             kernel_ms, " ms queued that write to the arena");
  ASSIGN_OR_RETURN(SharedArena arena, ShareArena(run, ArenaOf(run.form())));
  ASSIGN_OR_RETURN(const int64_t before, Beat(run, *arena.exporter));
  RETURN_IF_ERROR(
      run.Ask(*arena.importer, "spin", {{"ms", kernel_ms}, {"count", kQueuedKernels}}).status());
  RETURN_IF_ERROR(WaitForBeat(run, *arena.exporter, before));
  const int64_t start_us = NowUs();
  arena.importer->process().Signal(SIGSTOP);
  ASSIGN_OR_RETURN(int64_t beat, Beat(run, *arena.exporter));
  int64_t last_change_us = 0;
  while (NowUs() - start_us - last_change_us < kQuietUs && NowUs() - start_us < kWatchUs) {
    ASSIGN_OR_RETURN(const int64_t now, Beat(run, *arena.exporter));
    if (now != beat) last_change_us = NowUs() - start_us;
    beat = now;
    poll(nullptr, 0, kPollMs);
  }
  arena.importer->process().Signal(SIGCONT);
  AddMeasurement(result, "last_write_us", static_cast<double>(last_change_us), "us");
  AddMeasurement(result, "queued_us", static_cast<double>(1000 * kernel_ms * kQueuedKernels), "us");
  const bool goes_on = last_change_us > 1000 * kernel_ms;
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrCat("writes went on for ", last_change_us / 1000, " ms");
  result.consequence = goes_on ? "a stopped trainer's queued work runs on: silence proves nothing, "
                                 "and the grant bounds what is queued"
                               : "queued work stops with its process";
  return absl::OkStatus();
}

}  // namespace

CheckFunctions DeathChecks() {
  return {{"death.exporter", CheckExporter},
          {"death.exporter_reclaim", CheckExporterReclaim},
          {"death.exporter_legacy", CheckExporterLegacy},
          {"death.importer", CheckImporter},
          {"death.importer_stopped", CheckImporterStopped}};
}

}  // namespace alchemist
