#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
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
constexpr int kRegisteredSeed = 3;

absl::Status CheckUnmap(CheckRun& run, CheckResult& result) {
  const Form& form = run.form();
  result.done =
      absl::StrCat("unmapped ", form.unmap_chunks, " chunks of ", form.unmap_chunk_bytes >> 20,
                   " MiB in the importer while the exporter ran decode-like steps");
  ASSIGN_OR_RETURN(SharedArena arena, ShareArena(run, {.chunks = form.unmap_chunks,
                                                       .chunk_bytes = form.unmap_chunk_bytes}));
  ASSIGN_OR_RETURN(const DecodeLoad load, CalibrateDecode(run, *arena.exporter));
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
  result.happened = absl::StrCat("all were unmapped in ", unmapped.Integer("us") / 1000,
                                 " ms; the longest step beside it took ",
                                 static_cast<int64_t>(beside.Number("max_us")), " us, ",
                                 static_cast<int64_t>(alone.Number("max_us")), " alone");
  result.consequence = "memory changes hands inside the arena; an unmap is for a session's end";
  return absl::OkStatus();
}

absl::Status CheckFence(CheckRun& run, CheckResult& result) {
  result.done =
      absl::StrCat("queued generation fences over ", kPagesOfItem, " and ", kPagesOfStep, " pages");
  ASSIGN_OR_RETURN(auto agent, run.StartAgent("agent"));
  const int repeats = 10 * run.form().repeats;
  ASSIGN_OR_RETURN(const AgentMessage item,
                   run.Ask(*agent, "fence", {{"pages", kPagesOfItem}, {"repeats", repeats}}));
  ASSIGN_OR_RETURN(const AgentMessage step,
                   run.Ask(*agent, "fence", {{"pages", kPagesOfStep}, {"repeats", repeats}}));
  AddMeasurement(result, "fence_us_256_pages", item.Number("us"), "us");
  AddMeasurement(result, "fence_us_8192_pages", step.Number("us"), "us");
  const double share = 2 * step.Number("us") / kStepUs;
  AddMeasurement(result, "share_of_100_ms_step", 100 * share, "%");
  result.verdict = share <= kFenceShareMax ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.happened = absl::StrCat("two fences are ", 100 * share, "% of a step of 100 ms (at most ",
                                 100 * kFenceShareMax, "%)");
  result.consequence = "each step is fenced at its start and its end";
  return absl::OkStatus();
}

absl::Status CheckScrub(CheckRun& run, CheckResult& result) {
  result.done = absl::StrCat("zeroed ", run.form().copy_bytes >> 20, " MiB of device memory");
  ASSIGN_OR_RETURN(auto agent, run.StartAgent("agent"));
  ASSIGN_OR_RETURN(const AgentMessage answer,
                   run.Ask(*agent, "scrub",
                           {{"bytes", run.form().copy_bytes}, {"repeats", run.form().repeats}}));
  const double rate = answer.Number("gb_per_s");
  AddMeasurement(result, "scrub_gb_per_s", rate, "GB/s");
  AddMeasurement(result, "scrub_us_per_gib", 1'073'741'824 / rate / 1000, "us");
  result.verdict = CheckVerdict::kMeasured;
  result.happened = absl::StrCat(rate, " GB/s");
  result.consequence = "memory is scrubbed when it goes to another tenant";
  return absl::OkStatus();
}

absl::StatusOr<FileDescriptor> NewMemory(int64_t bytes) {
  FileDescriptor fd(memfd_create("gpu_check", MFD_CLOEXEC));
  if (!fd.valid() || ftruncate(fd.get(), bytes) != 0) return ErrnoStatus("memfd_create", "memory");
  return fd;
}

absl::StatusOr<AgentMessage> Register(CheckRun& run, AgentProcess& agent, int memory,
                                      bool read_only, bool write) {
  std::vector<FileDescriptor> fds;
  fds.emplace_back(dup(memory));
  return run.Ask(agent, "register_memory",
                 {{"bytes", run.form().copy_bytes},
                  {"read_only", read_only},
                  {"seed", kRegisteredSeed},
                  {"write", write}},
                 std::move(fds));
}

// One process registers a memfd and writes it from its device, a second one registers the same and
// reads it.
absl::Status CheckRegistered(CheckRun& run, bool read_only, CheckResult& result) {
  result.done = absl::StrCat("had two processes pin the same ", run.form().copy_bytes >> 20,
                             " MiB of a memfd, one writing it from the device, one reading it",
                             read_only ? " through a read-only mapping" : "");
  ASSIGN_OR_RETURN(const FileDescriptor memory, NewMemory(run.form().copy_bytes));
  ASSIGN_OR_RETURN(auto writer, run.StartAgent("writer"));
  ASSIGN_OR_RETURN(auto reader, run.StartAgent("reader"));
  ASSIGN_OR_RETURN(const AgentMessage written, Register(run, *writer, memory.get(), false, true));
  AddMeasurement(result, "register_us_first", written.Number("register_us"), "us");
  AddMeasurement(result, "from_device_gb_per_s", written.Number("gb_per_s"), "GB/s");
  result.consequence = "the trainer copies hosted records through a pinned buffer of its own";
  const auto read = Register(run, *reader, memory.get(), read_only, false);
  if (read_only && !read.ok()) {  // Not every machine can: a fact, no failure.
    result.verdict = CheckVerdict::kMeasured;
    result.happened = absl::StrCat("refused: ", read.status().message());
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(read.status());
  AddMeasurement(result, "register_us_second", read->Number("register_us"), "us");
  AddMeasurement(result, "unregister_us", read->Number("unregister_us"), "us");
  AddMeasurement(result, "to_device_gb_per_s", read->Number("gb_per_s"), "GB/s");
  const int64_t wrong = read->Integer("mismatches");
  if (wrong != 0) return absl::DataLossError(absl::StrCat(wrong, " words differed"));
  result.verdict = CheckVerdict::kPass;
  result.happened = "the reader's device had every word";
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
