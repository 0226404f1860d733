#include "kernels/simd_level.h"

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "base/logging.h"

namespace alchemist {
namespace {

// Whether this process may use tile registers: Linux gives them to those that ask.
bool HasTiles() {
  constexpr int64_t kTileData = 18;  // Of the state that XSAVE knows.
  static const bool granted = __builtin_cpu_supports("amx-tile") &&
                              __builtin_cpu_supports("amx-bf16") &&
                              syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, kTileData) == 0;
  return granted;
}

SimdLevel HighestSupported() {
  if (IsSupported(SimdLevel::kAmxBf16)) return SimdLevel::kAmxBf16;
  if (HasFullRateBf16()) return SimdLevel::kAvx512FullRateBf16;
  for (SimdLevel level : {SimdLevel::kAvx512Bf16, SimdLevel::kAvx512, SimdLevel::kAvx2}) {
    if (IsSupported(level)) return level;
  }
  return SimdLevel::kPortable;
}

std::atomic<SimdLevel>& Level() {
  static std::atomic<SimdLevel> level = HighestSupported();
  return level;
}

}  // namespace

const char* SimdLevelName(SimdLevel level) {
  switch (level) {
    case SimdLevel::kPortable:
      return "portable";
    case SimdLevel::kAvx2:
      return "AVX2";
    case SimdLevel::kAvx512:
      return "AVX-512";
    case SimdLevel::kAvx512Bf16:
      return "AVX-512 BF16";
    case SimdLevel::kAvx512FullRateBf16:
      return "full rate AVX-512 BF16";
    case SimdLevel::kAmxBf16:
      return "AMX BF16";
  }
  return "unknown level";
}

bool IsSupported(SimdLevel level) {
  switch (level) {
    case SimdLevel::kPortable:
      return true;
    case SimdLevel::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case SimdLevel::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
    case SimdLevel::kAvx512Bf16:
    case SimdLevel::kAvx512FullRateBf16:
      return IsSupported(SimdLevel::kAvx512) && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512bf16");
    case SimdLevel::kAmxBf16:
      return IsSupported(SimdLevel::kAvx512Bf16) && HasTiles();
  }
  return false;
}

bool HasFullRateBf16() { return IsSupported(SimdLevel::kAvx512Bf16) && !__builtin_cpu_is("intel"); }

SimdLevel CurrentSimdLevel() { return Level().load(std::memory_order_relaxed); }

void SetSimdLevelForTest(SimdLevel level) {
  CHECK(IsSupported(level)) << SimdLevelName(level);
  Level().store(level, std::memory_order_relaxed);
}

}  // namespace alchemist
