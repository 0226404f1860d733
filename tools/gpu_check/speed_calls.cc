#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/cuda_host_memory.h"
#include "kernels/cuda/cuda_matmul.h"
#include "kernels/cuda/cudnn_attention.h"
#include "kernels/cuda/cudnn_attention_shape.h"
#include "kernels/cuda/cudnn_handle.h"
#include "tools/gpu_check/agent_calls.h"
#include "tools/gpu_check/timing.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr uint32_t kSeed = 11;
constexpr int64_t kCopiesMax = 32;

absl::StatusOr<AgentMessage> CopyOnDevice(Agent& agent, AgentMessage& request) {
  const int64_t bytes = request.Integer("bytes");
  ASSIGN_OR_RETURN(const Buffer from, agent.device->Allocate(bytes));
  ASSIGN_OR_RETURN(const Buffer to, agent.device->Allocate(bytes));
  const auto copy = [&] {
    return agent.stream.CopyOnDevice(AddressOf(to), AddressOf(from), bytes);
  };
  ASSIGN_OR_RETURN(const double us, MedianDeviceUs(agent, request.Integer("repeats"), copy));
  AgentMessage answer;
  answer.values["gb_per_s"] = GbPerSecond(2 * bytes, us);
  return answer;
}

// One of several streams' part of a copy between host and device.
struct HostCopy {
  CudaStream stream;
  Buffer device_part;
  CudaHostMemory pinned;
  std::vector<std::byte> pageable;  // Touched: it was zeroed.
  void* host = nullptr;
};

absl::StatusOr<HostCopy> MakeHostCopy(Agent& agent, int64_t bytes, bool pinned) {
  HostCopy copy;
  ASSIGN_OR_RETURN(copy.stream, CudaStream::Create(agent.device.get()));
  ASSIGN_OR_RETURN(copy.device_part, agent.device->Allocate(bytes));
  if (pinned) {
    ASSIGN_OR_RETURN(copy.pinned, CudaHostMemory::Allocate(agent.device.get(), bytes));
    copy.host = copy.pinned.data();
    std::memset(copy.host, 1, bytes);
  } else {
    copy.pageable.resize(bytes);
    copy.host = copy.pageable.data();
  }
  return copy;
}

absl::Status RunHostCopies(std::vector<HostCopy>& copies, bool to_device) {
  for (HostCopy& copy : copies) {
    const uint64_t address = AddressOf(copy.device_part);
    const int64_t bytes = copy.device_part.bytes();
    RETURN_IF_ERROR(to_device ? copy.stream.CopyToDevice(address, copy.host, bytes)
                              : copy.stream.CopyToHost(copy.host, address, bytes));
  }
  for (HostCopy& copy : copies) RETURN_IF_ERROR(copy.stream.Synchronize());
  return absl::OkStatus();
}

absl::StatusOr<AgentMessage> CopyHost(Agent& agent, AgentMessage& request) {
  const int64_t bytes = request.Integer("bytes");
  const int64_t streams = request.Integer("streams");
  std::vector<HostCopy> copies;
  for (int64_t i = 0; i < streams; ++i) {
    ASSIGN_OR_RETURN(copies.emplace_back(),
                     MakeHostCopy(agent, bytes / streams, request.Bool("pinned")));
  }
  const bool to_device = request.Bool("to_device");
  RETURN_IF_ERROR(RunHostCopies(copies, to_device));
  std::vector<double> us;
  for (int64_t i = 0; i < request.Integer("repeats"); ++i) {
    const int64_t start_us = NowUs();
    RETURN_IF_ERROR(RunHostCopies(copies, to_device));
    us.push_back(static_cast<double>(NowUs() - start_us));
  }
  AgentMessage answer;
  answer.values["gb_per_s"] = GbPerSecond(bytes, Percentile(us, 0.5));
  return answer;
}

absl::StatusOr<AgentMessage> Launch(Agent& agent, AgentMessage& request) {
  const int64_t launches = request.Integer("launches");
  const auto launch = [&] { return agent.probes->Nothing(agent.stream); };
  const auto launch_all = [&]() -> absl::Status {
    for (int64_t i = 0; i < launches; ++i) RETURN_IF_ERROR(launch());
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(launch_all());
  ASSIGN_OR_RETURN(const CudaGraph graph, agent.stream.Capture(launch_all));
  RETURN_IF_ERROR(agent.stream.Launch(graph));
  RETURN_IF_ERROR(agent.stream.Synchronize());
  // Until the last one has ended, over their number; the median of several.
  const int64_t repeats = request.Integer("repeats");
  const auto time = [&](const std::function<absl::Status()>& queue) -> absl::StatusOr<double> {
    std::vector<double> us;
    for (int64_t i = 0; i < repeats; ++i) {
      const int64_t start_us = NowUs();
      RETURN_IF_ERROR(queue());
      RETURN_IF_ERROR(agent.stream.Synchronize());
      us.push_back(static_cast<double>(NowUs() - start_us) / static_cast<double>(launches));
    }
    return Percentile(us, 0.5);
  };
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["launch_us"], time(launch_all));
  ASSIGN_OR_RETURN(answer.values["graph_us"], time([&] { return agent.stream.Launch(graph); }));
  ASSIGN_OR_RETURN(answer.values["round_trip_us"], time([&]() -> absl::Status {
                     for (int64_t i = 0; i < launches; ++i) {
                       RETURN_IF_ERROR(launch());
                       RETURN_IF_ERROR(agent.stream.Synchronize());
                     }
                     return absl::OkStatus();
                   }));
  return answer;
}

// So many copies of a weight that it is not in the L2 cache when its turn comes again.
int64_t CopiesOf(const Agent& agent, int64_t bytes) {
  return std::clamp<int64_t>(4 * agent.device->info().l2_bytes / bytes + 1, 1, kCopiesMax);
}

absl::StatusOr<AgentMessage> Matmul(Agent& agent, AgentMessage& request) {
  const int64_t rows = request.Integer("rows");
  const int64_t outputs = request.Integer("outputs");
  const int64_t inputs = request.Integer("inputs");
  if (agent.cublas == nullptr) {
    ASSIGN_OR_RETURN(agent.cublas, CublasLt::Load(agent.device.get(), agent.library_directories));
  }
  ASSIGN_OR_RETURN(
      const CudaMatmul matmul,
      CudaMatmul::Create(agent.cublas.get(), {.rows = rows, .inputs = inputs, .outputs = outputs}));
  const int64_t weights = outputs * inputs;
  const int64_t copies = CopiesOf(agent, 2 * weights);
  ASSIGN_OR_RETURN(const Buffer x, RandomBf16(agent, rows * inputs, kSeed));
  ASSIGN_OR_RETURN(const Buffer w, RandomBf16(agent, copies * weights, kSeed));
  ASSIGN_OR_RETURN(const Buffer y, agent.device->Allocate(2 * rows * outputs));
  int64_t turn = 0;
  const auto run = [&] {
    const uint64_t weight = AddressOf(w) + 2 * weights * (turn++ % copies);
    return matmul.Run(AddressOf(x), weight, AddressOf(y), agent.stream);
  };
  ASSIGN_OR_RETURN(const double us, MedianDeviceUs(agent, request.Integer("repeats"), run));
  AgentMessage answer;
  answer.values["tflop_per_s"] = 2.0 * static_cast<double>(rows * weights) / us / 1e6;
  answer.values["library"] = "cuBLASLt " + agent.cublas->version();
  return answer;
}

absl::StatusOr<AgentMessage> Attention(Agent& agent, AgentMessage& request) {
  CudnnAttentionShape shape;
  shape.tokens = request.Integer("tokens");
  shape.heads = request.Integer("heads");
  shape.kv_heads = request.Integer("kv_heads");
  shape.head_dim = request.Integer("head_dim");
  if (agent.cudnn == nullptr) {
    ASSIGN_OR_RETURN(agent.cudnn, CudnnHandle::Load(agent.device.get(), agent.library_directories));
  }
  ASSIGN_OR_RETURN(const CudnnAttention attention,
                   CudnnAttention::Create(agent.cudnn.get(), shape));
  const int64_t q_count = shape.tokens * shape.heads * shape.head_dim;
  const int64_t kv_count = shape.tokens * shape.kv_heads * shape.head_dim;
  ASSIGN_OR_RETURN(const Buffer q, RandomBf16(agent, q_count, kSeed));
  ASSIGN_OR_RETURN(const Buffer k, RandomBf16(agent, kv_count, kSeed));
  ASSIGN_OR_RETURN(const Buffer v, RandomBf16(agent, kv_count, kSeed));
  ASSIGN_OR_RETURN(const Buffer output, agent.device->Allocate(2 * q_count));
  ASSIGN_OR_RETURN(const Buffer statistics, agent.device->Allocate(4 * shape.heads * shape.tokens));
  const auto run = [&] {
    return attention.Run(AddressOf(q), AddressOf(k), AddressOf(v), AddressOf(output),
                         AddressOf(statistics), agent.stream);
  };
  ASSIGN_OR_RETURN(const double us, MedianDeviceUs(agent, request.Integer("repeats"), run));
  AgentMessage answer;
  answer.values["us"] = us;
  // Two products over the lower triangle.
  answer.values["tflop_per_s"] =
      2.0 * static_cast<double>(q_count) * static_cast<double>(shape.tokens) / us / 1e6;
  answer.values["library"] = "cuDNN " + agent.cudnn->version();
  return answer;
}

}  // namespace

AgentCalls SpeedCalls() {
  return {{"copy_on_device", CopyOnDevice},
          {"copy_host", CopyHost},
          {"launch", Launch},
          {"matmul", Matmul},
          {"attention", Attention}};
}

AgentCalls AllAgentCalls() {
  AgentCalls all = MemoryCalls();
  for (const AgentCalls& calls : {LoadCalls(), ReclaimCalls(), SpeedCalls()}) {
    all.insert(calls.begin(), calls.end());
  }
  return all;
}

}  // namespace alchemist
