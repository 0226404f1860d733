#include "tools/bench/machine.h"

#include <unistd.h>

#include <thread>

#include "kernels/matmul.h"
#include "kernels/simd_level.h"
#include "tools/bench/host.h"

namespace alchemist {

BenchParams DescribeMachine() {
  const int64_t bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return {{"cpu", CpuName()},
          {"cores", std::thread::hardware_concurrency()},
          {"simd", SimdLevelName(CurrentSimdLevel())},
          {"memory_gib", static_cast<double>(bytes) / (int64_t{1} << 30)},
          {"kernel", KernelName()},
          {"matmul", MatmulDescription()}};
}

}  // namespace alchemist
