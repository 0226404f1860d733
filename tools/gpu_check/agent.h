// The agent's side: a device, what an experiment made on it, and a table of what it can be asked.
// One thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_AGENT_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_AGENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/cuda_arena.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_ipc.h"
#include "kernels/cuda/cuda_probes.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/cudnn_handle.h"
#include "tools/gpu_check/agent_message.h"
#include "tools/gpu_check/registered_memory.h"

namespace alchemist {

// The operands of one unit of training-like work: c [rows, width] = a [rows, width] * b [width,
// width]^T.
struct TrainingUnit {
  int rows = 0;
  int width = 0;
  Buffer a;
  Buffer b;
  Buffer c;
};

struct Agent {
  std::unique_ptr<CudaDevice> device;
  std::vector<std::string> library_directories;  // Where cuBLASLt and cuDNN are looked for first.
  std::unique_ptr<CublasLt> cublas;              // Once it was asked for.
  std::unique_ptr<CudnnHandle> cudnn;            // Likewise.
  std::optional<CudaProbes> probes;
  CudaStream stream;                      // Of what is waited for.
  CudaStream work;                        // Of kernels that are left running.
  std::optional<CudaArena> arena;         // Its own, or a peer's.
  std::vector<FileDescriptor> arena_fds;  // As they came from a peer.
  Buffer allocation;                      // Shared the legacy way.
  std::optional<CudaIpcMapping> peer_allocation;
  int64_t peer_allocation_bytes = 0;
  std::optional<RegisteredMemory> registered;
  Buffer decode_weights;  // What a kernel of a decode-like step reads.
  TrainingUnit training;
};

// Does what `request` asks; its descriptors are the call's to keep or to close.
using AgentCall = std::function<absl::StatusOr<AgentMessage>(Agent& agent, AgentMessage& request)>;
using AgentCalls = std::map<std::string, AgentCall>;

struct AgentOptions {
  CudaDeviceOptions device;
  std::vector<std::string> library_directories;
  std::optional<uint32_t> user;  // Become this user before the device is opened.
};

// Opens the device, says hello over `socket` (or why it cannot), and answers until the stream ends.
// It dies with its parent, whatever it is at. Returns the process's exit code.
int RunAgent(int socket, const AgentOptions& options, const AgentCalls& calls);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_AGENT_H_
