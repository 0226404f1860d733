// The machine's CPU and kernel, in words. Any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_HOST_H_
#define ALCHEMIST_TOOLS_BENCH_HOST_H_

#include <string>

namespace alchemist {

// "AMD EPYC, family 25 model 1"; "unknown CPU" where /proc/cpuinfo has other fields.
std::string CpuName();
std::string KernelName();  // "Linux 6.1.0".

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_HOST_H_
