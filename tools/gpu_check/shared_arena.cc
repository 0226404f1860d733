#include "tools/gpu_check/shared_arena.h"

#include <poll.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"

namespace alchemist {
namespace {

constexpr int kPollMs = 1;
constexpr double kMiB = 1 << 20;

}  // namespace

absl::StatusOr<SharedArena> ShareArena(CheckRun& run, const ArenaShape& shape) {
  SharedArena arena;
  arena.bytes = shape.chunks * shape.chunk_bytes;
  const AgentExtras extras = {.environment = shape.environment};
  ASSIGN_OR_RETURN(arena.exporter, run.StartAgent("exporter", extras));
  ASSIGN_OR_RETURN(arena.importer, run.StartAgent("importer", extras));
  ASSIGN_OR_RETURN(const AgentMessage created,
                   run.Ask(*arena.exporter, "create_arena",
                           {{"chunks", shape.chunks}, {"chunk_bytes", shape.chunk_bytes}}));
  RETURN_IF_ERROR(
      run.Ask(*arena.exporter, "fill", {{"where", "arena"}, {"seed", kExportersSeed}}).status());
  ASSIGN_OR_RETURN(AgentMessage exported, run.Ask(*arena.exporter, "export_arena"));
  ASSIGN_OR_RETURN(const AgentMessage imported,
                   run.Ask(*arena.importer, "import_arena",
                           {{"chunk_bytes", shape.chunk_bytes}, {"read_only", shape.read_only}},
                           std::move(exported.fds)));
  arena.create_us = created.Integer("us");
  arena.export_us = exported.Integer("us");
  arena.import_us = imported.Integer("us");
  arena.descriptors_open = imported.Integer("open");
  return arena;
}

ArenaShape ArenaOf(const Form& form) {
  return {.chunks = form.arena_chunks, .chunk_bytes = form.arena_chunk_bytes};
}

absl::StatusOr<int64_t> Mismatches(CheckRun& run, AgentProcess& agent, const std::string& where,
                                   int seed) {
  ASSIGN_OR_RETURN(const AgentMessage answer,
                   run.Ask(agent, "count_mismatches", {{"where", where}, {"seed", seed}}));
  return answer.Integer("mismatches");
}

absl::StatusOr<bool> WaitForBytesFree(CheckRun& run, AgentProcess& onlooker, int64_t bytes,
                                      int64_t timeout_us) {
  const Clock& clock = *Clock::Real();
  const int64_t end_us = clock.MonotonicUs() + timeout_us;
  while (true) {
    ASSIGN_OR_RETURN(const AgentMessage answer, run.Ask(onlooker, "bytes_free"));
    if (answer.Integer("bytes") >= bytes) return true;
    if (clock.MonotonicUs() >= end_us) return false;
    poll(nullptr, 0, kPollMs);
  }
}

std::string ChargedText(const CheckRun& run, pid_t pid) {
  if (run.nvml() == nullptr) return absl::StrCat("not known (", run.nvml_error(), ")");
  const auto users = run.nvml()->Users(run.uuid());
  if (!users.ok()) return absl::StrCat("not known (", users.status().message(), ")");
  for (const Nvml::User& user : *users) {
    if (user.pid != pid) continue;
    if (!user.bytes.has_value()) return "an amount that the driver does not say";
    return absl::StrCat(static_cast<int64_t>(static_cast<double>(*user.bytes) / kMiB), " MiB");
  }
  return "nothing: the driver does not list that process";
}

}  // namespace alchemist
