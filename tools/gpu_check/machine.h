// The machine that was asked, in words. Any thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_MACHINE_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_MACHINE_H_

#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/nvml.h"
#include "tools/gpu_check/agent_message.h"

namespace alchemist {

// What GpuReport::machine holds. `device` is an agent's hello; `nvml` may be null.
std::vector<std::pair<std::string, std::string>> DescribeGpuMachine(const AgentMessage& device,
                                                                    const Nvml* nvml);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_MACHINE_H_
