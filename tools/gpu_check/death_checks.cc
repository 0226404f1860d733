#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/gpu_check/checks.h"
#include "tools/gpu_check/death_watch.h"
#include "tools/gpu_check/shared_arena.h"

namespace alchemist {
namespace {

constexpr int64_t kExitUs = 10'000'000;      // What a killed process may take to be gone.
constexpr int64_t kGivenBackUs = 1'000'000;  // What the driver may take to give memory back.
constexpr int kQueuedKernels = 20;           // Behind the stopped process, of a tenth of spin_ms.
// An arena counts as given back when this share of it is free: contexts come and go beside it.
constexpr double kMostOf = 0.9;

absl::Status KillAndWait(AgentProcess& agent, const std::string& name) {
  agent.process().Signal(SIGKILL);
  if (agent.process().WaitForExit(kExitUs)) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("the killed ", name, " was not gone within ", kExitUs / 1'000'000, " s"));
}

// An importer that has memory mapped whose exporter is dead, and an onlooker that sees how much of
// the device is free.
struct Orphaned {
  AgentProcess* onlooker = nullptr;
  std::unique_ptr<AgentProcess> importer;
  int64_t bytes = 0;
  int64_t bytes_free_without = 0;  // At least so much is free when the memory is back.
};

void AddCharge(const CheckRun& run, const std::string& cell, pid_t pid, CheckResult& result) {
  const std::optional<double> mib = ChargedMib(run, pid);
  if (mib.has_value()) AddMeasurement(result, cell, *mib, "MiB");
}

std::string WhyUnlisted(const CheckRun& run) {
  if (run.nvml() == nullptr) return run.nvml_error();
  const absl::Status asked = run.nvml()->Users(run.uuid()).status();
  return asked.ok() ? "it does not name our processes (a container?)"
                    : std::string(asked.message());
}

// Takes the exporter's life, and notes what the driver charged both before, and the other after.
absl::Status Orphan(CheckRun& run, AgentProcess& exporter, Orphaned& orphaned,
                    CheckResult& result) {
  ASSIGN_OR_RETURN(const AgentMessage before, run.Ask(*orphaned.onlooker, "bytes_free"));
  orphaned.bytes_free_without =
      before.Integer("bytes") + static_cast<int64_t>(kMostOf * static_cast<double>(orphaned.bytes));
  const pid_t importer = orphaned.importer->process().pid();
  AddCharge(run, "charged_to_exporter/before", exporter.process().pid(), result);
  AddCharge(run, "charged_to_importer/before", importer, result);
  RETURN_IF_ERROR(KillAndWait(exporter, "exporter"));
  AddCharge(run, "charged_to_importer/after", importer, result);
  return absl::OkStatus();
}

absl::StatusOr<Orphaned> OrphanArena(CheckRun& run, CheckResult& result) {
  Orphaned orphaned;
  ASSIGN_OR_RETURN(orphaned.onlooker, run.QuietAgent());
  ASSIGN_OR_RETURN(SharedArena arena, ShareArena(run, ArenaOf(run.form())));
  orphaned.importer = std::move(arena.importer);
  orphaned.bytes = arena.bytes;
  RETURN_IF_ERROR(Orphan(run, *arena.exporter, orphaned, result));
  return orphaned;
}

absl::StatusOr<Orphaned> OrphanAllocation(CheckRun& run, CheckResult& result) {
  Orphaned orphaned;
  orphaned.bytes = run.form().arena_chunk_bytes * run.form().arena_chunks;
  ASSIGN_OR_RETURN(orphaned.onlooker, run.QuietAgent());
  ASSIGN_OR_RETURN(auto agents, run.StartAgents({"exporter", "importer"}));
  AgentProcess& exporter = *agents[0];
  orphaned.importer = std::move(agents[1]);
  ASSIGN_OR_RETURN(const AgentMessage allocated,
                   run.Ask(exporter, "allocate", {{"bytes", orphaned.bytes}}));
  RETURN_IF_ERROR(
      run.Ask(exporter, "fill", {{"where", "allocation"}, {"seed", kExportersSeed}}).status());
  RETURN_IF_ERROR(run.Ask(*orphaned.importer, "open_peer",
                          {{"handle", allocated.Text("handle")}, {"bytes", orphaned.bytes}})
                      .status());
  RETURN_IF_ERROR(Orphan(run, exporter, orphaned, result));
  return orphaned;
}

absl::StatusOr<bool> IsGivenBack(CheckRun& run, const Orphaned& orphaned) {
  return WaitForBytesFree(run, *orphaned.onlooker, orphaned.bytes_free_without, kGivenBackUs);
}

// Whether the importer still reads what the exporter wrote.
absl::StatusOr<bool> IsReadable(CheckRun& run, const Orphaned& orphaned, const std::string& where,
                                CheckResult& result) {
  const auto wrong = Mismatches(run, *orphaned.importer, where, kExportersSeed);
  if (!wrong.ok() && !IsDriversAnswer(wrong.status())) return wrong.status();
  const bool readable = wrong.ok() && *wrong == 0;
  result.happened = readable ? "the importer still read every word"
                             : absl::StrCat("the importer could not read it: ",
                                            wrong.ok() ? absl::StrCat(*wrong, " words differed")
                                                       : std::string(wrong.status().message()));
  return readable;
}

absl::Status CheckExporter(CheckRun& run, CheckResult& result) {
  result.done = absl::StrFormat("killed the exporter of %d MiB with -9 while the importer had it",
                                run.form().arena_chunks * run.form().arena_chunk_bytes >> 20);
  ASSIGN_OR_RETURN(const Orphaned orphaned, OrphanArena(run, result));
  ASSIGN_OR_RETURN(const bool readable, IsReadable(run, orphaned, "arena", result));
  ASSIGN_OR_RETURN(const bool back, IsGivenBack(run, orphaned));
  absl::StrAppend(&result.happened,
                  back ? "; the memory was back at once" : "; the memory was not given back");
  result.verdict = CheckVerdict::kMeasured;
  result.consequence =
      back ? "a dead server's memory does not wait for the trainer"
           : "when serving dies the trainer unmaps at once: its mapping holds the memory";
  if (result.measurements.empty()) {
    absl::StrAppend(&result.happened, "; who was charged is not known: ", WhyUnlisted(run));
  }
  if (!readable) absl::StrAppend(&result.consequence, "; what is mapped cannot be used any more");
  return absl::OkStatus();
}

// What may have given the memory back.
struct Stage {
  std::string name;
  std::string request;  // Of the importer; empty: none, or its death.
};

// Goes through `stages`, of which the first is the exporter's death, until the memory is back.
absl::Status FindWhatGivesBack(CheckRun& run, Orphaned& orphaned, const std::vector<Stage>& stages,
                               CheckResult& result) {
  std::vector<std::string> held;
  for (const Stage& stage : stages) {
    std::string refused;
    if (!stage.request.empty()) {
      const absl::Status asked = run.Ask(*orphaned.importer, stage.request).status();
      if (!asked.ok() && !IsDriversAnswer(asked)) return asked;
      if (!asked.ok()) refused = absl::StrCat(" (refused: ", asked.message(), ")");
    } else if (!held.empty()) {
      RETURN_IF_ERROR(KillAndWait(*orphaned.importer, "importer"));
    }
    ASSIGN_OR_RETURN(const bool back, IsGivenBack(run, orphaned));
    if (!back) {
      held.push_back(stage.name + refused);
      continue;
    }
    result.verdict = CheckVerdict::kMeasured;
    absl::StrAppend(&result.happened, result.happened.empty() ? "" : "; ",
                    "the memory was back after ", stage.name,
                    held.empty() ? "" : ", not yet after ", absl::StrJoin(held, ", "));
    result.consequence =
        held.empty()
            ? "a dead server's memory does not wait for the trainer"
            : absl::StrCat("a dead server's memory waits in the trainer until ", stage.name);
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError("the memory was not back even after both processes' death");
}

absl::Status CheckExporterReclaim(CheckRun& run, CheckResult& result) {
  result.done = "after the exporter's death had the importer unmap, release, close and exit";
  ASSIGN_OR_RETURN(Orphaned orphaned, OrphanArena(run, result));
  return FindWhatGivesBack(run, orphaned,
                           {{"the exporter's death", ""},
                            {"the importer's unmap", "unmap_arena"},
                            {"its release of the handles", "release_arena"},
                            {"its close of the descriptors", "close_descriptors"},
                            {"its exit", ""}},
                           result);
}

absl::Status CheckExporterLegacy(CheckRun& run, CheckResult& result) {
  result.done = "killed the exporter of a legacy allocation, had the importer close it and exit";
  ASSIGN_OR_RETURN(Orphaned orphaned, OrphanAllocation(run, result));
  RETURN_IF_ERROR(IsReadable(run, orphaned, "peer_allocation", result).status());
  return FindWhatGivesBack(
      run, orphaned,
      {{"the exporter's death", ""}, {"the importer's close", "close_peer"}, {"its exit", ""}},
      result);
}

absl::Status CheckImporter(CheckRun& run, CheckResult& result) {
  const int kills = run.form().kills;
  result.done = absl::StrCat("killed an importer with -9, ", kills, " times, while its kernel of ",
                             run.form().spin_ms, " ms wrote to the arena");
  const ArenaShape shape = {.chunks = 1, .chunk_bytes = run.form().arena_chunk_bytes};
  ASSIGN_OR_RETURN(SharedArena arena, ShareArena(run, shape));
  std::vector<Death> deaths;
  for (int i = 0; i < kills; ++i) {
    if (i > 0) RETURN_IF_ERROR(ImportAgain(run, shape, arena));
    ASSIGN_OR_RETURN(deaths.emplace_back(), WatchDeath(run, arena));
  }
  JudgeDeaths(deaths, WhyUnlisted(run), result);
  return absl::OkStatus();
}

absl::Status CheckImporterStopped(CheckRun& run, CheckResult& result) {
  const int64_t kernel_ms = run.form().spin_ms / 10;
  result.done = absl::StrCat("stopped the importer (SIGSTOP) with ", kQueuedKernels, " kernels of ",
                             kernel_ms, " ms queued that write to the arena");
  ASSIGN_OR_RETURN(SharedArena arena,
                   ShareArena(run, {.chunks = 1, .chunk_bytes = run.form().arena_chunk_bytes}));
  RETURN_IF_ERROR(StartBeating(run, arena, kernel_ms, kQueuedKernels));
  arena.importer->process().Signal(SIGSTOP);
  ASSIGN_OR_RETURN(const int64_t last_change_us, WatchBeatsEnd(run, *arena.exporter));
  arena.importer->process().Signal(SIGCONT);
  const int64_t queued_us = 1000 * kernel_ms * kQueuedKernels;
  AddMeasurement(result, "last_write_us", static_cast<double>(last_change_us), "us");
  AddMeasurement(result, "queued_us", static_cast<double>(queued_us), "us");
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrCat("writes went on for ", last_change_us / 1000, " ms");
  result.consequence = last_change_us > 1000 * kernel_ms
                           ? "a stopped trainer's queued work runs on: silence proves nothing, and "
                             "the grant bounds what is queued"
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
