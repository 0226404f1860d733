#include "tools/bench/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "kernels/matmul.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

constexpr int64_t kProcFileBytesMax = 4 << 20;

// "AMD EPYC, family 25 model 1"; unknown where /proc/cpuinfo has other fields.
std::string CpuName() {
  const absl::StatusOr<std::string> text = ReadFile("/proc/cpuinfo", kProcFileBytesMax);
  std::string name = "unknown CPU", family, model;
  if (!text.ok()) return name;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (line.empty()) break;  // The first core's paragraph is enough.
    const std::pair<std::string, std::string> field = absl::StrSplit(line, absl::MaxSplits(':', 1));
    const std::string key(absl::StripAsciiWhitespace(field.first));
    const std::string value(absl::StripAsciiWhitespace(field.second));
    if (key == "model name") name = value;
    if (key == "cpu family") family = value;
    if (key == "model") model = value;
  }
  return family.empty() ? name : absl::StrCat(name, ", family ", family, " model ", model);
}

}  // namespace

BenchParams DescribeMachine() {
  utsname system = {};
  uname(&system);
  const int64_t bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return {{"cpu", CpuName()},
          {"cores", std::thread::hardware_concurrency()},
          {"simd", SimdLevelName(CurrentSimdLevel())},
          {"memory_gib", static_cast<double>(bytes) / (int64_t{1} << 30)},
          {"kernel", absl::StrCat(system.sysname, " ", system.release)},
          {"matmul", MatmulDescription()}};
}

}  // namespace alchemist
