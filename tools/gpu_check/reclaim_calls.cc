#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "kernels/cuda/generation_fence.h"
#include "tools/gpu_check/agent_calls.h"
#include "tools/gpu_check/timing.h"

namespace alchemist {
namespace {

constexpr int kShuffleSeed = 9;

// The operands of a fence beside the generations: the pages, in no order, and that all of theirs
// are 0.
struct FenceOperands {
  Buffer pages;
  Buffer expected;
  Buffer poison;
};

absl::StatusOr<FenceOperands> MakeFenceOperands(Agent& agent, int64_t pages) {
  FenceOperands operands;
  ASSIGN_OR_RETURN(operands.pages, agent.device->Allocate(4 * pages));
  ASSIGN_OR_RETURN(operands.expected, agent.device->Allocate(8 * pages));
  ASSIGN_OR_RETURN(operands.poison, agent.device->Allocate(4));
  std::vector<uint32_t> numbers(pages);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(kShuffleSeed));
  RETURN_IF_ERROR(agent.stream.CopyToDevice(AddressOf(operands.pages), numbers.data(), 4 * pages));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  return operands;
}

// The generations lie at the begin of the arena, which is a peer's and full of zeros.
absl::StatusOr<AgentMessage> Fence(Agent& agent, AgentMessage& request) {
  const int64_t pages = request.Integer("pages");
  if (!agent.arena.has_value() || agent.arena->bytes() < 8 * pages) {
    return absl::FailedPreconditionError("it has no arena with room for the generations");
  }
  ASSIGN_OR_RETURN(const FenceOperands operands, MakeFenceOperands(agent, pages));
  ASSIGN_OR_RETURN(GenerationFence fence, GenerationFence::Load(agent.device.get()));
  const auto check = [&] {
    return fence.Check(agent.arena->address(), AddressOf(operands.pages),
                       AddressOf(operands.expected), static_cast<uint32_t>(pages),
                       AddressOf(operands.poison), agent.stream);
  };
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["us"], MedianDeviceUs(agent, request.Integer("repeats"), check));
  uint32_t poison = 0;
  RETURN_IF_ERROR(agent.stream.CopyToHost(&poison, AddressOf(operands.poison), sizeof(poison)));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  answer.values["poisoned"] = poison != 0;
  return answer;
}

absl::StatusOr<AgentMessage> Scrub(Agent& agent, AgentMessage& request) {
  const int64_t bytes = request.Integer("bytes");
  ASSIGN_OR_RETURN(const Buffer buffer, agent.device->Allocate(bytes));
  const auto scrub = [&] { return agent.stream.Fill(AddressOf(buffer), 0, bytes); };
  ASSIGN_OR_RETURN(const double us, MedianDeviceUs(agent, request.Integer("repeats"), scrub));
  AgentMessage answer;
  answer.values["gb_per_s"] = GbPerSecond(bytes, us);
  return answer;
}

absl::StatusOr<AgentMessage> RegisterMemory(Agent& agent, AgentMessage& request) {
  if (request.fds.size() != 1) return absl::InvalidArgumentError("not one descriptor");
  ASSIGN_OR_RETURN(RegisteredMemory memory,
                   RegisteredMemory::Create(
                       agent.device.get(), request.fds[0].get(), request.Integer("bytes"),
                       request.Bool("read_only") ? CudaAccess::kRead : CudaAccess::kReadWrite));
  agent.registered.emplace(std::move(memory));
  AgentMessage answer;
  answer.values["us"] = agent.registered->register_us();
  return answer;
}

// A copy of a pattern between the registered memory and the device: out of the device, or into it.
absl::StatusOr<AgentMessage> CopyRegistered(Agent& agent, AgentMessage& request) {
  if (!agent.registered.has_value()) return absl::FailedPreconditionError("nothing is registered");
  const int64_t bytes = agent.registered->bytes();
  void* const host = agent.registered->data();
  const auto seed = static_cast<uint32_t>(request.Integer("seed"));
  ASSIGN_OR_RETURN(const Buffer buffer, agent.device->Allocate(bytes));
  const uint64_t address = AddressOf(buffer);
  const bool write = request.Bool("write");
  if (write) RETURN_IF_ERROR(agent.probes->FillPattern(address, bytes, seed, agent.stream));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  const int64_t start_us = NowUs();
  RETURN_IF_ERROR(write ? agent.stream.CopyToHost(host, address, bytes)
                        : agent.stream.CopyToDevice(address, host, bytes));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  AgentMessage answer;
  answer.values["gb_per_s"] = GbPerSecond(bytes, static_cast<double>(NowUs() - start_us));
  ASSIGN_OR_RETURN(answer.values["mismatches"],
                   agent.probes->CountMismatches(address, bytes, seed, agent.stream));
  return answer;
}

absl::StatusOr<AgentMessage> UnregisterMemory(Agent& agent, AgentMessage& /*request*/) {
  const int64_t start_us = NowUs();
  agent.registered.reset();
  AgentMessage answer;
  answer.values["us"] = NowUs() - start_us;
  return answer;
}

}  // namespace

AgentCalls ReclaimCalls() {
  return {{"fence", Fence},
          {"scrub", Scrub},
          {"register_memory", RegisterMemory},
          {"copy_registered", CopyRegistered},
          {"unregister_memory", UnregisterMemory}};
}

}  // namespace alchemist
