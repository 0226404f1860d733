#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "tools/gpu_check/agent_calls.h"
#include "tools/gpu_check/timing.h"

namespace alchemist {
namespace {

struct Region {
  uint64_t address = 0;
  int64_t bytes = 0;
};

absl::StatusOr<CudaArena*> ArenaOf(Agent& agent) {
  if (!agent.arena.has_value()) return absl::FailedPreconditionError("it has no arena");
  return &*agent.arena;
}

absl::StatusOr<Region> RegionNamed(Agent& agent, const std::string& where) {
  if (where == "arena") {
    ASSIGN_OR_RETURN(const CudaArena* arena, ArenaOf(agent));
    return Region{arena->address(), arena->bytes()};
  }
  if (where == "allocation") {
    return Region{AddressOf(agent.allocation), agent.allocation.bytes()};
  }
  CHECK_EQ(where, "peer_allocation");
  if (!agent.peer_allocation.has_value()) {
    return absl::FailedPreconditionError("it has no peer's allocation");
  }
  return Region{agent.peer_allocation->address(), agent.peer_allocation_bytes};
}

absl::StatusOr<AgentMessage> Granularity(Agent& agent, AgentMessage& /*request*/) {
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["bytes"], CudaArena::Granularity(*agent.device));
  return answer;
}

absl::StatusOr<AgentMessage> CreateArena(Agent& agent, AgentMessage& request) {
  const int64_t start_us = NowUs();
  ASSIGN_OR_RETURN(agent.arena, CudaArena::Create(agent.device.get(),
                                                  static_cast<int>(request.Integer("chunks")),
                                                  request.Integer("chunk_bytes")));
  AgentMessage answer;
  answer.values["us"] = NowUs() - start_us;
  RETURN_IF_ERROR(agent.stream.Fill(agent.arena->address(), 0, agent.arena->bytes()));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  return answer;
}

absl::StatusOr<AgentMessage> ExportArena(Agent& agent, AgentMessage& /*request*/) {
  ASSIGN_OR_RETURN(const CudaArena* arena, ArenaOf(agent));
  const int64_t start_us = NowUs();
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.fds, arena->Export());
  answer.values["us"] = NowUs() - start_us;
  return answer;
}

// Whether `fd` is still open on what `copy` is: not closed, and not the number of something else.
bool IsStill(const FileDescriptor& fd, const FileDescriptor& copy) {
  const pid_t self = getpid();
  const auto compared = syscall(SYS_kcmp, self, self, KCMP_FILE, fd.get(), copy.get());
  if (compared >= 0) return compared == 0;
  if (errno != ENOSYS && errno != EPERM) return false;
  struct stat now = {};
  struct stat before = {};
  return fstat(fd.get(), &now) == 0 && fstat(copy.get(), &before) == 0 &&
         now.st_dev == before.st_dev && now.st_ino == before.st_ino;
}

absl::StatusOr<AgentMessage> ImportArena(Agent& agent, AgentMessage& request) {
  agent.arena_fds = std::move(request.fds);
  std::vector<int> fds;
  std::vector<FileDescriptor> copies;
  for (const FileDescriptor& fd : agent.arena_fds) {
    fds.push_back(fd.get());
    copies.emplace_back(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  }
  const CudaAccess access = request.Bool("read_only") ? CudaAccess::kRead : CudaAccess::kReadWrite;
  const int64_t start_us = NowUs();
  ASSIGN_OR_RETURN(agent.arena, CudaArena::Import(agent.device.get(), fds,
                                                  request.Integer("chunk_bytes"), access));
  AgentMessage answer;
  answer.values["us"] = NowUs() - start_us;
  int64_t open = 0;
  for (size_t i = 0; i < fds.size(); ++i) {
    if (IsStill(agent.arena_fds[i], copies[i])) ++open;
  }
  answer.values["open"] = open;
  return answer;
}

absl::StatusOr<AgentMessage> UnmapArena(Agent& agent, AgentMessage& /*request*/) {
  ASSIGN_OR_RETURN(CudaArena * arena, ArenaOf(agent));
  std::vector<double> chunk_us;
  const int64_t start_us = NowUs();
  for (int i = 0; i < arena->chunks(); ++i) {
    const int64_t chunk_start_us = NowUs();
    RETURN_IF_ERROR(arena->UnmapChunk(i));
    chunk_us.push_back(static_cast<double>(NowUs() - chunk_start_us));
  }
  AgentMessage answer;
  answer.values["us"] = NowUs() - start_us;
  answer.values["chunk_us"] = chunk_us;
  return answer;
}

absl::StatusOr<AgentMessage> ReleaseArena(Agent& agent, AgentMessage& /*request*/) {
  ASSIGN_OR_RETURN(CudaArena * arena, ArenaOf(agent));
  RETURN_IF_ERROR(arena->Close());
  agent.arena.reset();
  return AgentMessage();
}

absl::StatusOr<AgentMessage> CloseDescriptors(Agent& agent, AgentMessage& /*request*/) {
  agent.arena_fds.clear();
  return AgentMessage();
}

absl::StatusOr<AgentMessage> FillRegion(Agent& agent, AgentMessage& request) {
  ASSIGN_OR_RETURN(const Region region, RegionNamed(agent, request.Text("where")));
  RETURN_IF_ERROR(agent.probes->FillPattern(
      region.address, region.bytes, static_cast<uint32_t>(request.Integer("seed")), agent.stream));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  return AgentMessage();
}

absl::StatusOr<AgentMessage> CountMismatches(Agent& agent, AgentMessage& request) {
  ASSIGN_OR_RETURN(const Region region, RegionNamed(agent, request.Text("where")));
  AgentMessage answer;
  ASSIGN_OR_RETURN(
      answer.values["mismatches"],
      agent.probes->CountMismatches(region.address, region.bytes,
                                    static_cast<uint32_t>(request.Integer("seed")), agent.stream));
  return answer;
}

absl::StatusOr<AgentMessage> Clear(Agent& agent, AgentMessage& /*request*/) {
  ASSIGN_OR_RETURN(const CudaArena* arena, ArenaOf(agent));
  RETURN_IF_ERROR(agent.stream.Fill(arena->address(), 0, arena->bytes()));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  return AgentMessage();
}

absl::StatusOr<AgentMessage> StoreWord(Agent& agent, AgentMessage& request) {
  ASSIGN_OR_RETURN(const CudaArena* arena, ArenaOf(agent));
  RETURN_IF_ERROR(agent.probes->StoreWord(
      arena->address(), static_cast<uint32_t>(request.Integer("value")), agent.stream));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  return AgentMessage();
}

absl::StatusOr<AgentMessage> ReadWord(Agent& agent, AgentMessage& /*request*/) {
  ASSIGN_OR_RETURN(const CudaArena* arena, ArenaOf(agent));
  uint64_t value = 0;
  RETURN_IF_ERROR(agent.stream.CopyToHost(&value, arena->address(), sizeof(value)));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  AgentMessage answer;
  answer.values["value"] = value;
  return answer;
}

absl::StatusOr<AgentMessage> Allocate(Agent& agent, AgentMessage& request) {
  ASSIGN_OR_RETURN(agent.allocation, agent.device->Allocate(request.Integer("bytes")));
  ASSIGN_OR_RETURN(const CudaIpcHandle handle,
                   ExportLegacy(*agent.device, AddressOf(agent.allocation)));
  AgentMessage answer;
  answer.values["handle"] = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(handle.data()), handle.size()));
  return answer;
}

absl::StatusOr<AgentMessage> OpenPeer(Agent& agent, AgentMessage& request) {
  const std::string bytes = absl::HexStringToBytes(request.Text("handle"));
  CudaIpcHandle handle;
  CHECK_EQ(bytes.size(), handle.size());
  std::copy(bytes.begin(), bytes.end(), handle.begin());
  ASSIGN_OR_RETURN(agent.peer_allocation, CudaIpcMapping::Open(agent.device.get(), handle));
  agent.peer_allocation_bytes = request.Integer("bytes");
  return AgentMessage();
}

absl::StatusOr<AgentMessage> ClosePeer(Agent& agent, AgentMessage& /*request*/) {
  if (agent.peer_allocation.has_value()) RETURN_IF_ERROR(agent.peer_allocation->Close());
  agent.peer_allocation.reset();
  return AgentMessage();
}

absl::StatusOr<AgentMessage> BytesFree(Agent& agent, AgentMessage& /*request*/) {
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["bytes"], agent.device->BytesFree());
  return answer;
}

}  // namespace

AgentCalls MemoryCalls() {
  return {{"granularity", Granularity},
          {"create_arena", CreateArena},
          {"export_arena", ExportArena},
          {"import_arena", ImportArena},
          {"unmap_arena", UnmapArena},
          {"release_arena", ReleaseArena},
          {"close_descriptors", CloseDescriptors},
          {"fill", FillRegion},
          {"clear", Clear},
          {"count_mismatches", CountMismatches},
          {"store", StoreWord},
          {"read_word", ReadWord},
          {"allocate", Allocate},
          {"open_peer", OpenPeer},
          {"close_peer", ClosePeer},
          {"bytes_free", BytesFree}};
}

}  // namespace alchemist
