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
  ASSIGN_OR_RETURN(auto agent, run.StartAgent("agent"));
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
  ArenaShape shape = ArenaOf(run.form());
  shape.read_only = true;
  ASSIGN_OR_RETURN(const SharedArena arena, ShareArena(run, shape));
  ASSIGN_OR_RETURN(const int64_t wrong, Mismatches(run, *arena.importer, "arena", kExportersSeed));
  if (wrong != 0) return absl::DataLossError("the arena cannot be read through that mapping");
  const absl::Status stored = run.Ask(*arena.importer, "store", {{"value", 7}}).status();
  ASSIGN_OR_RETURN(const int64_t changed,
                   Mismatches(run, *arena.exporter, "arena", kExportersSeed));
  const bool honoured = !stored.ok() && changed == 0;
  result.verdict = honoured ? CheckVerdict::kPass : CheckVerdict::kMeasured;
  result.happened = honoured ? absl::StrCat("the store was refused: ", stored.message())
                             : "the store went through: the driver does not honour the flag";
  result.consequence = honoured
                           ? "the trainer maps records for reading: a bug there cannot change them"
                           : "only the generation fence guards against a trainer that writes";
  return absl::OkStatus();
}

absl::Status CheckUuid(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("opened ", run.uuid(), " by name in two processes");
  ASSIGN_OR_RETURN(auto first, run.StartAgent("first"));
  ASSIGN_OR_RETURN(auto second, run.StartAgent("second"));
  const std::string seen = second->hello().Text("uuid");
  const bool same = first->hello().Text("uuid") == seen && seen == run.uuid();
  result.verdict = same ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.happened = absl::StrCat("they had ", first->hello().Text("uuid"), " and ", seen);
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

absl::Status CheckLegacy(CheckRun& run, CheckResult& result) {
  result.done =
      "exported an allocation by cudaIpc's 64-byte handle and read it in a second process";
  ASSIGN_OR_RETURN(const LegacyAllocation allocation, AllocateLegacy(run));
  ASSIGN_OR_RETURN(auto importer, run.StartAgent("importer"));
  RETURN_IF_ERROR(
      run.Ask(*importer, "open_peer", {{"handle", allocation.handle}, {"bytes", allocation.bytes}})
          .status());
  ASSIGN_OR_RETURN(const int64_t wrong,
                   Mismatches(run, *importer, "peer_allocation", kExportersSeed));
  result.verdict = wrong == 0 ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.happened = wrong == 0 ? "every word was the same" : absl::StrCat(wrong, " words differed");
  result.consequence = wrong == 0 ? "it is there as a fallback where descriptors are not"
                                  : "there is no fallback where descriptors cannot be exported";
  return absl::OkStatus();
}

absl::Status CheckLegacyOtherUser(CheckRun& run, CheckResult& result) {
  result.done = "let a process of another user open an allocation by the handle alone";
  if (geteuid() != 0) {
    result.happened = "only root can become another user";
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const LegacyAllocation allocation, AllocateLegacy(run));
  const auto stranger = run.StartAgent("stranger", {.user = kAnotherUser});
  if (!stranger.ok()) {
    result.happened =
        absl::StrCat("another user cannot open the device here: ", stranger.status().message());
    return absl::OkStatus();
  }
  const absl::Status opened =
      run.Ask(**stranger, "open_peer", {{"handle", allocation.handle}, {"bytes", allocation.bytes}})
          .status();
  result.verdict = CheckVerdict::kMeasured;
  result.happened = opened.ok() ? "it was opened" : absl::StrCat("refused: ", opened.message());
  result.consequence = opened.ok() ? "a handle is a bearer secret: it must never leave the private "
                                     "socket, and the fallback must be asked for"
                                   : "the driver checks the user of legacy handles";
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
