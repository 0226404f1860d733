#include <sys/mman.h>

#include <numeric>
#include <utility>

#include "kernels/cuda/cuda_host_memory.h"
#include "kernels/cuda/generation_fence.h"
#include "tools/gpu_check/agent_calls.h"
#include "tools/gpu_check/timing.h"

namespace alchemist {
namespace {

// A memfd mapped for as long as this lives.
class Mapping {
 public:
  static absl::StatusOr<Mapping> Of(int fd, int64_t bytes, bool read_only) {
    const int protection = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void* const data = mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) return ErrnoStatus("mmap", "memfd");
    return Mapping(data, bytes);
  }
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  ~Mapping() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }
  void* data() const { return data_; }

 private:
  Mapping(void* data, int64_t bytes) : data_(data), bytes_(bytes) {}
  void* data_;
  int64_t bytes_;
};

// The operands of a fence over `pages` pages whose generations are all 0, as are those expected.
struct FenceOperands {
  Buffer generations;
  Buffer pages;
  Buffer expected;
  Buffer poison;
};

absl::StatusOr<FenceOperands> MakeFenceOperands(Agent& agent, int64_t pages) {
  FenceOperands operands;
  ASSIGN_OR_RETURN(operands.generations, agent.device->Allocate(8 * pages));
  ASSIGN_OR_RETURN(operands.pages, agent.device->Allocate(4 * pages));
  ASSIGN_OR_RETURN(operands.expected, agent.device->Allocate(8 * pages));
  ASSIGN_OR_RETURN(operands.poison, agent.device->Allocate(4));
  std::vector<uint32_t> numbers(pages);
  std::iota(numbers.begin(), numbers.end(), 0);
  RETURN_IF_ERROR(agent.stream.CopyToDevice(AddressOf(operands.pages), numbers.data(), 4 * pages));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  return operands;
}

absl::StatusOr<AgentMessage> Fence(Agent& agent, AgentMessage& request) {
  const int64_t pages = request.Integer("pages");
  ASSIGN_OR_RETURN(const FenceOperands operands, MakeFenceOperands(agent, pages));
  ASSIGN_OR_RETURN(GenerationFence fence, GenerationFence::Load(agent.device.get()));
  const auto check = [&] {
    return fence.Check(AddressOf(operands.generations), AddressOf(operands.pages),
                       AddressOf(operands.expected), static_cast<uint32_t>(pages),
                       AddressOf(operands.poison), agent.stream);
  };
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["us"], DeviceUsPerCall(agent, request.Integer("repeats"), check));
  uint32_t poison = 0;
  RETURN_IF_ERROR(agent.stream.CopyToHost(&poison, AddressOf(operands.poison), sizeof(poison)));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  if (poison != 0) return absl::InternalError("a fence over equal generations raised poison");
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

// Copies between the registered memory and the device: out of it, unless it is the one to write.
absl::Status CopyPattern(Agent& agent, const AgentMessage& request, void* host,
                         AgentMessage& answer) {
  const int64_t bytes = request.Integer("bytes");
  const auto seed = static_cast<uint32_t>(request.Integer("seed"));
  ASSIGN_OR_RETURN(const Buffer buffer, agent.device->Allocate(bytes));
  const uint64_t address = AddressOf(buffer);
  const bool write = request.Bool("write");
  if (write) RETURN_IF_ERROR(agent.probes->FillPattern(address, bytes, seed, agent.stream));
  ASSIGN_OR_RETURN(const double us, DeviceUsPerCall(agent, 1, [&] {
                     return write ? agent.stream.CopyToHost(host, address, bytes)
                                  : agent.stream.CopyToDevice(address, host, bytes);
                   }));
  answer.values["gb_per_s"] = GbPerSecond(bytes, us);
  ASSIGN_OR_RETURN(answer.values["mismatches"],
                   agent.probes->CountMismatches(address, bytes, seed, agent.stream));
  return absl::OkStatus();
}

absl::StatusOr<AgentMessage> RegisterMemory(Agent& agent, AgentMessage& request) {
  const int64_t bytes = request.Integer("bytes");
  const bool read_only = request.Bool("read_only");
  if (request.fds.size() != 1) return absl::InvalidArgumentError("not one descriptor");
  ASSIGN_OR_RETURN(const Mapping mapping, Mapping::Of(request.fds[0].get(), bytes, read_only));
  AgentMessage answer;
  int64_t start_us = NowUs();
  {
    ASSIGN_OR_RETURN(
        CudaHostMemory memory,
        CudaHostMemory::Register(agent.device.get(), mapping.data(), bytes,
                                 read_only ? CudaAccess::kRead : CudaAccess::kReadWrite));
    answer.values["register_us"] = NowUs() - start_us;
    RETURN_IF_ERROR(CopyPattern(agent, request, mapping.data(), answer));
    start_us = NowUs();
  }
  answer.values["unregister_us"] = NowUs() - start_us;
  return answer;
}

}  // namespace

AgentCalls ReclaimCalls() {
  return {{"fence", Fence}, {"scrub", Scrub}, {"register_memory", RegisterMemory}};
}

}  // namespace alchemist
