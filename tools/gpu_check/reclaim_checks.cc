#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/gpu_check/checks.h"
#include "tools/gpu_check/decode_load.h"
#include "tools/gpu_check/shared_arena.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int kPagesOfStep = 8192;  // Of 1 MiB: a lease of 8 GiB.
constexpr int kPagesOfItem = 256;
constexpr double kStepUs = 100'000;       // Of a training step, at the least.
constexpr double kFenceShareMax = 0.001;  // Of the step, both fences together.

absl::Status CheckUnmap(CheckRun& run, CheckResult& result) {
  const Form& form = run.form();
  result.done =
      absl::StrCat("unmapped ", form.unmap_chunks, " chunks of ", form.unmap_chunk_bytes >> 20,
                   " MiB in the importer while the exporter ran decode-like steps");
  ASSIGN_OR_RETURN(SharedArena arena, ShareArena(run, {.chunks = form.unmap_chunks,
                                                       .chunk_bytes = form.unmap_chunk_bytes}));
  ASSIGN_OR_RETURN(const DecodeLoad load, PrepareDecode(run, *arena.exporter));
  ASSIGN_OR_RETURN(const AgentMessage alone,
                   run.Ask(*arena.exporter, "decode_steps", load.Arguments(form.window_ms)));
  RETURN_IF_ERROR(arena.exporter->Send("decode_steps", {.values = load.Arguments(form.window_ms)}));
  poll(nullptr, 0, static_cast<int>(form.window_ms / 4));  // Until steps are under way.
  ASSIGN_OR_RETURN(const AgentMessage unmapped, run.Ask(*arena.importer, "unmap_arena"));
  ASSIGN_OR_RETURN(const AgentMessage beside, arena.exporter->Receive(run.TimeoutUs()));
  const std::vector<double> chunk_us = unmapped.Numbers("chunk_us");
  AddMeasurement(result, "unmap_us_all", unmapped.Number("us"), "us");
  AddMeasurement(result, "unmap_us_chunk_p50", Percentile(chunk_us, 0.5), "us");
  AddMeasurement(result, "unmap_us_chunk_max", Percentile(chunk_us, 1), "us");
  AddMeasurement(result, "step_us_p50_alone", alone.Number("p50_us"), "us");
  AddMeasurement(result, "step_us_max_alone", alone.Number("max_us"), "us");
  AddMeasurement(result, "step_us_max_beside", beside.Number("max_us"), "us");
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrFormat(
      "all were unmapped in %.1f ms; the longest step beside it took %.0f us, %.0f alone",
      unmapped.Number("us") / 1000, beside.Number("max_us"), alone.Number("max_us"));
  result.consequence = "memory changes hands inside the arena; an unmap is for a session's end";
  return absl::OkStatus();
}

absl::Status CheckFence(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("ran generation fences over ", kPagesOfItem, " and ", kPagesOfStep,
                             " pages, whose generations lie in the exporter's arena, in no order");
  ASSIGN_OR_RETURN(const SharedArena arena,
                   ShareArena(run, {.chunks = 1, .chunk_bytes = run.form().arena_chunk_bytes}));
  RETURN_IF_ERROR(run.Ask(*arena.exporter, "clear").status());
  for (const int pages : {kPagesOfItem, kPagesOfStep}) {
    ASSIGN_OR_RETURN(
        const AgentMessage fence,
        run.Ask(*arena.importer, "fence", {{"pages", pages}, {"repeats", run.form().repeats}}));
    if (fence.Bool("poisoned")) return absl::InternalError("equal generations raised poison");
    AddMeasurement(result, absl::StrCat("fence_us_", pages, "_pages"), fence.Number("us"), "us");
  }
  const double share = 2 * result.measurements.back().value / kStepUs;
  AddMeasurement(result, "share_of_100_ms_step", 100 * share, "%");
  const bool is_cheap = share <= kFenceShareMax;
  result.verdict = is_cheap ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.happened =
      absl::StrFormat("two fences over %d pages are %.3f%% of a step of 100 ms (at most %.1f%%)",
                      kPagesOfStep, 100 * share, 100 * kFenceShareMax);
  result.consequence = is_cheap ? "each step is fenced at its start and its end"
                                : "the fence must cost less before each step can have two";
  return absl::OkStatus();
}

absl::Status CheckScrub(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("zeroed ", run.form().copy_bytes >> 20, " MiB of device memory");
  ASSIGN_OR_RETURN(AgentProcess * agent, run.QuietAgent());
  ASSIGN_OR_RETURN(const AgentMessage answer,
                   run.Ask(*agent, "scrub",
                           {{"bytes", run.form().copy_bytes}, {"repeats", run.form().repeats}}));
  const double rate = answer.Number("gb_per_s");
  AddMeasurement(result, "scrub_gb_per_s", rate, "GB/s");
  AddMeasurement(result, "scrub_us_per_gib", 1'073'741'824 / rate / 1000, "us");
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrFormat("%.0f GB/s", rate);
  result.consequence = "memory is scrubbed when it goes to another tenant";
  return absl::OkStatus();
}

absl::StatusOr<FileDescriptor> NewMemory(int64_t bytes) {
  FileDescriptor fd(memfd_create("gpu_check", MFD_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus("memfd_create", "memory");
  errno = posix_fallocate(fd.get(), 0, bytes);  // All pages are there before the first is pinned.
  if (errno != 0) return ErrnoStatus("posix_fallocate", "memory");
  return fd;
}

absl::StatusOr<double> Register(CheckRun& run, AgentProcess& agent, int memory, bool read_only) {
  std::vector<FileDescriptor> fds;
  fds.emplace_back(dup(memory));
  ASSIGN_OR_RETURN(
      const AgentMessage answer,
      run.Ask(agent, "register_memory",
              {{"bytes", run.form().copy_bytes}, {"read_only", read_only}}, std::move(fds)));
  return answer.Number("us");
}

// Writes `seed`'s pattern out of `writer`'s device, and reads it into `reader`'s.
absl::Status PassPattern(CheckRun& run, AgentProcess& writer, AgentProcess& reader, int seed,
                         CheckResult& result) {
  ASSIGN_OR_RETURN(const AgentMessage written,
                   run.Ask(writer, "copy_registered", {{"seed", seed}, {"write", true}}));
  ASSIGN_OR_RETURN(const AgentMessage read,
                   run.Ask(reader, "copy_registered", {{"seed", seed}, {"write", false}}));
  AddMeasurement(result, absl::StrCat("copy_", seed, "/from_device"), written.Number("gb_per_s"),
                 "GB/s");
  AddMeasurement(result, absl::StrCat("copy_", seed, "/to_device"), read.Number("gb_per_s"),
                 "GB/s");
  const int64_t wrong = read.Integer("mismatches");
  if (wrong == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(wrong, " words differed in the reader's device"));
}

// Two processes pin the same memfd, both at once; what one writes from its device the other reads
// into its own, twice.
absl::Status CheckRegistered(CheckRun& run, bool read_only, CheckResult& result) {
  result.done = absl::StrCat("had two processes pin the same ", run.form().copy_bytes >> 20,
                             " MiB of a memfd at once, one writing it from the device, one reading",
                             read_only ? " it through a read-only mapping" : " it");
  result.consequence = "the trainer copies hosted records through a pinned buffer of its own";
  ASSIGN_OR_RETURN(const FileDescriptor memory, NewMemory(run.form().copy_bytes));
  ASSIGN_OR_RETURN(const auto agents, run.StartAgents({"writer", "reader"}));
  AgentProcess& writer = *agents[0];
  AgentProcess& reader = *agents[1];
  ASSIGN_OR_RETURN(const double first_us, Register(run, writer, memory.get(), false));
  const auto second_us = Register(run, reader, memory.get(), read_only);
  if (read_only && !second_us.ok() && IsDriversAnswer(second_us.status())) {
    result.verdict = CheckVerdict::kMeasured;  // Not every machine can: a fact, no failure.
    result.happened = absl::StrCat("refused: ", second_us.status().message());
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(second_us.status());
  for (const int pass : {1, 2}) RETURN_IF_ERROR(PassPattern(run, writer, reader, pass, result));
  ASSIGN_OR_RETURN(const AgentMessage unregistered, run.Ask(reader, "unregister_memory"));
  result.verdict = read_only ? CheckVerdict::kMeasured : CheckVerdict::kPass;
  result.happened = absl::StrFormat(
      "the reader's device had every word; pinning took %.0f and %.0f us, unpinning %.0f us",
      first_us, *second_us, unregistered.Number("us"));
  result.consequence = read_only ? "the trainer pins the host tier as it maps it, for reading"
                                 : "the host tier is one memfd that both daemons pin";
  return absl::OkStatus();
}

absl::Status CheckHostRegister(CheckRun& run, CheckResult& result) {
  return CheckRegistered(run, false, result);
}

absl::Status CheckHostRegisterReadOnly(CheckRun& run, CheckResult& result) {
  return CheckRegistered(run, true, result);
}

}  // namespace

CheckFunctions ReclaimChecks() {
  return {{"reclaim.unmap", CheckUnmap},
          {"reclaim.fence", CheckFence},
          {"reclaim.scrub", CheckScrub},
          {"reclaim.host_register", CheckHostRegister},
          {"reclaim.host_register_read_only", CheckHostRegisterReadOnly}};
}

}  // namespace alchemist
