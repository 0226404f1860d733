#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tools/gpu_check/checks.h"
#include "tools/gpu_check/shared_arena.h"

namespace alchemist {
namespace {

constexpr uint32_t kAnotherUser = 65534;  // nobody.

std::string ArenaText(const Form& form) {
  return absl::StrCat("an arena of ", form.arena_chunks, " chunks of ",
                      form.arena_chunk_bytes >> 20, " MiB");
}

absl::Status CheckGranularity(CheckRun& run, CheckResult& result) {
  result.done = "asked the driver what the size of exportable memory must be a multiple of";
  ASSIGN_OR_RETURN(AgentProcess * agent, run.QuietAgent());
  ASSIGN_OR_RETURN(const AgentMessage answer, run.Ask(*agent, "granularity"));
  const int64_t bytes = answer.Integer("bytes");
  const bool fits = run.form().arena_chunk_bytes % bytes == 0;
  AddMeasurement(result, "granularity_bytes", static_cast<double>(bytes), "bytes");
  result.verdict = fits ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.happened = absl::StrCat("granules of ", bytes, " bytes");
  result.consequence =
      fits ? "chunks of 1 GiB are whole granules" : "the arena's chunk size must change";
  return absl::OkStatus();
}

absl::Status CheckImport(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("exported ", ArenaText(run.form()),
                             " as descriptors in one message, imported it in a second process");
  ASSIGN_OR_RETURN(const SharedArena arena, ShareArena(run, ArenaOf(run.form())));
  const double chunks = run.form().arena_chunks;
  AddMeasurement(result, "create_us_per_chunk", arena.create_us / chunks, "us");
  AddMeasurement(result, "export_us_per_chunk", arena.export_us / chunks, "us");
  AddMeasurement(result, "import_us_per_chunk", arena.import_us / chunks, "us");
  result.verdict = CheckVerdict::kPass;
  result.happened = "the second process mapped all chunks";
  result.consequence = "the arena is exported once, at attach, as descriptors";
  return absl::OkStatus();
}

absl::Status CheckCanary(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("filled ", ArenaText(run.form()),
                             ", compared it in the importer, filled it there, compared it back");
  ASSIGN_OR_RETURN(const SharedArena arena, ShareArena(run, ArenaOf(run.form())));
  ASSIGN_OR_RETURN(const int64_t there, Mismatches(run, *arena.importer, "arena", kExportersSeed));
  RETURN_IF_ERROR(
      run.Ask(*arena.importer, "fill", {{"where", "arena"}, {"seed", kImportersSeed}}).status());
  ASSIGN_OR_RETURN(const int64_t back, Mismatches(run, *arena.exporter, "arena", kImportersSeed));
  AddMeasurement(result, "words_wrong_in_importer", static_cast<double>(there), "words");
  AddMeasurement(result, "words_wrong_in_exporter", static_cast<double>(back), "words");
  const bool same = there == 0 && back == 0;
  result.verdict = same ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.happened = same ? "every word was the same in both directions" : "words differed";
  result.consequence = same
                           ? "records can be read where serving wrote them"
                           : "nothing can be shared on this machine: the CUDA backend must not run";
  return absl::OkStatus();
}

absl::Status CheckDescriptorOwner(CheckRun& run, CheckResult& result) {
  result.done = "counted the importer's descriptors after import, closed them, read the arena";
  ASSIGN_OR_RETURN(const SharedArena arena, ShareArena(run, ArenaOf(run.form())));
  AddMeasurement(result, "descriptors_open_after_import",
                 static_cast<double>(arena.descriptors_open), "descriptors");
  const bool stay = arena.descriptors_open == run.form().arena_chunks;
  result.happened = stay ? "all of them stayed open" : "the driver closed some";
  if (stay) {
    RETURN_IF_ERROR(run.Ask(*arena.importer, "close_descriptors").status());
    ASSIGN_OR_RETURN(const int64_t wrong,
                     Mismatches(run, *arena.importer, "arena", kExportersSeed));
    if (wrong != 0) return absl::DataLossError("the arena changed when they were closed");
    absl::StrAppend(&result.happened, "; the mapping outlives them");
  }
  result.verdict = stay ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.consequence =
      stay ? "the importer closes its descriptors after import"
           : "closing them again would close somebody else's: the importer must not";
  return absl::OkStatus();
}

absl::Status CheckReadOnly(CheckRun& run, CheckResult& result) {
  result.done = "mapped the arena for reading alone and stored a word through that mapping";
  result.consequence = "nothing keeps a bug in the trainer from changing records";
  ArenaShape shape = ArenaOf(run.form());
  RETURN_IF_ERROR(ShareArena(run, shape).status());  // Else a failure would say nothing.
  shape.read_only = true;
  const absl::StatusOr<SharedArena> arena = ShareArena(run, shape);
  if (!arena.ok() && IsDriversAnswer(arena.status())) {
    result.verdict = CheckVerdict::kMeasured;
    result.happened = absl::StrCat("it cannot be mapped so: ", arena.status().message());
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(arena.status());
  ASSIGN_OR_RETURN(const int64_t wrong, Mismatches(run, *arena->importer, "arena", kExportersSeed));
  if (wrong != 0) return absl::DataLossError("the arena cannot be read through that mapping");
  const absl::Status stored = run.Ask(*arena->importer, "store", {{"value", 7}}).status();
  if (!stored.ok() && !absl::IsOutOfRange(stored)) return stored;
  ASSIGN_OR_RETURN(const int64_t changed,
                   Mismatches(run, *arena->exporter, "arena", kExportersSeed));
  AddMeasurement(result, "words_changed", static_cast<double>(changed), "words");
  const bool honoured = !stored.ok() && changed == 0;
  result.verdict = honoured ? CheckVerdict::kPass : CheckVerdict::kMeasured;
  result.happened = absl::StrCat(
      "the store ", stored.ok() ? "was no error" : absl::StrCat("was refused: ", stored.message()),
      "; ", changed, " words changed");
  if (honoured) {
    result.consequence = "the trainer maps records for reading: a bug there cannot change them";
  }
  return absl::OkStatus();
}

absl::Status CheckUuid(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("opened ", run.uuid(), " by name in two processes");
  ASSIGN_OR_RETURN(const auto agents, run.StartAgents({"first", "second"}));
  const std::string first = agents[0]->hello().Text("uuid");
  const std::string second = agents[1]->hello().Text("uuid");
  const bool same = first == second && second == run.uuid();
  result.verdict = same ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.happened = absl::StrCat("they had ", first, " and ", second);
  result.consequence = same ? "the attach reply names the device by its UUID"
                            : "UUIDs do not name devices here: the CUDA backend must not run";
  return absl::OkStatus();
}

// An allocation that one agent filled, and its handle.
struct LegacyAllocation {
  std::unique_ptr<AgentProcess> exporter;
  std::string handle;
  int64_t bytes = 0;
};

absl::StatusOr<LegacyAllocation> AllocateLegacy(CheckRun& run) {
  LegacyAllocation allocation;
  allocation.bytes = run.form().arena_chunk_bytes;
  ASSIGN_OR_RETURN(allocation.exporter, run.StartAgent("exporter"));
  ASSIGN_OR_RETURN(const AgentMessage answer,
                   run.Ask(*allocation.exporter, "allocate", {{"bytes", allocation.bytes}}));
  allocation.handle = answer.Text("handle");
  RETURN_IF_ERROR(
      run.Ask(*allocation.exporter, "fill", {{"where", "allocation"}, {"seed", kExportersSeed}})
          .status());
  return allocation;
}

// How many words `agent` reads wrong through the handle.
absl::StatusOr<int64_t> ReadLegacy(CheckRun& run, AgentProcess& agent,
                                   const LegacyAllocation& allocation) {
  RETURN_IF_ERROR(
      run.Ask(agent, "open_peer", {{"handle", allocation.handle}, {"bytes", allocation.bytes}})
          .status());
  return Mismatches(run, agent, "peer_allocation", kExportersSeed);
}

absl::Status CheckLegacy(CheckRun& run, CheckResult& result) {
  result.done =
      "exported an allocation by cudaIpc's 64-byte handle and read it in a second process";
  result.consequence = "there is no fallback where descriptors cannot be exported";
  ASSIGN_OR_RETURN(const LegacyAllocation allocation, AllocateLegacy(run));
  ASSIGN_OR_RETURN(auto importer, run.StartAgent("importer"));
  ASSIGN_OR_RETURN(const int64_t wrong, ReadLegacy(run, *importer, allocation));
  result.verdict = wrong == 0 ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.happened = wrong == 0 ? "every word was the same" : absl::StrCat(wrong, " words differed");
  if (wrong == 0) result.consequence = "it is there as a fallback where descriptors are not";
  return absl::OkStatus();
}

// A process of the same user reads it first: else a stranger's failure would say nothing.
absl::Status CheckLegacyOtherUser(CheckRun& run, CheckResult& result) {
  result.done = "let a process of another user open an allocation by the handle alone";
  if (geteuid() != 0) {
    result.happened = "only root can become another user";
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const LegacyAllocation allocation, AllocateLegacy(run));
  ASSIGN_OR_RETURN(auto relative, run.StartAgent("same_user"));
  ASSIGN_OR_RETURN(const int64_t wrong, ReadLegacy(run, *relative, allocation));
  if (wrong != 0) return absl::DataLossError("a process of the same user reads other bytes");
  const auto stranger = run.StartAgent("another_user", {.user = kAnotherUser});
  if (!stranger.ok() && IsDriversAnswer(stranger.status())) {
    result.happened =
        absl::StrCat("another user cannot open the device here: ", stranger.status().message());
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(stranger.status());
  const auto read = ReadLegacy(run, **stranger, allocation);
  if (!read.ok() && !IsDriversAnswer(read.status())) return read.status();
  result.verdict = CheckVerdict::kMeasured;
  if (read.ok()) {
    result.happened = absl::StrCat("it was opened, and ", *read, " words differed");
    result.consequence = "a handle is a bearer secret: it never leaves the private socket";
  } else {
    result.happened =
        absl::StrCat("refused, where one of the same user was not: ", read.status().message());
    result.consequence = "the driver checks the user of legacy handles";
  }
  return absl::OkStatus();
}

}  // namespace

CheckFunctions SharingChecks() {
  return {{"sharing.granularity", CheckGranularity},
          {"sharing.import", CheckImport},
          {"sharing.canary", CheckCanary},
          {"sharing.descriptor_owner", CheckDescriptorOwner},
          {"sharing.read_only", CheckReadOnly},
          {"sharing.uuid", CheckUuid},
          {"sharing.legacy", CheckLegacy},
          {"sharing.legacy_other_user", CheckLegacyOtherUser}};
}

}  // namespace alchemist
