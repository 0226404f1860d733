#include "tools/gpu_check/shared_arena.h"

#include <poll.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"

namespace alchemist {
namespace {

constexpr int kPollMs = 1;
constexpr double kMiB = 1 << 20;

absl::Status Import(CheckRun& run, const ArenaShape& shape, SharedArena& arena) {
  ASSIGN_OR_RETURN(AgentMessage exported, run.Ask(*arena.exporter, "export_arena"));
  ASSIGN_OR_RETURN(const AgentMessage imported,
                   run.Ask(*arena.importer, "import_arena",
                           {{"chunk_bytes", shape.chunk_bytes}, {"read_only", shape.read_only}},
                           std::move(exported.fds)));
  arena.export_us = exported.Integer("us");
  arena.import_us = imported.Integer("us");
  arena.descriptors_open = imported.Integer("open");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SharedArena> ShareArena(CheckRun& run, const ArenaShape& shape) {
  SharedArena arena;
  arena.bytes = shape.chunks * shape.chunk_bytes;
  ASSIGN_OR_RETURN(auto agents, run.StartAgents({"exporter", "importer"}));
  arena.exporter = std::move(agents[0]);
  arena.importer = std::move(agents[1]);
  ASSIGN_OR_RETURN(const AgentMessage created,
                   run.Ask(*arena.exporter, "create_arena",
                           {{"chunks", shape.chunks}, {"chunk_bytes", shape.chunk_bytes}}));
  arena.create_us = created.Integer("us");
  RETURN_IF_ERROR(
      run.Ask(*arena.exporter, "fill", {{"where", "arena"}, {"seed", kExportersSeed}}).status());
  RETURN_IF_ERROR(Import(run, shape, arena));
  return arena;
}

absl::Status ImportAgain(CheckRun& run, const ArenaShape& shape, SharedArena& arena) {
  ASSIGN_OR_RETURN(arena.importer, run.StartAgent("importer"));
  return Import(run, shape, arena);
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

std::optional<double> ChargedMib(const CheckRun& run, pid_t pid) {
  if (run.nvml() == nullptr) return std::nullopt;
  const auto users = run.nvml()->Users(run.uuid());
  if (!users.ok()) return std::nullopt;
  for (const Nvml::User& user : *users) {
    if (user.pid != pid || !user.bytes.has_value()) continue;
    return static_cast<double>(*user.bytes) / kMiB;
  }
  return std::nullopt;
}

}  // namespace alchemist
