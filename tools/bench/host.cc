#include "tools/bench/host.h"

#include <sys/utsname.h>

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"

namespace alchemist {
namespace {

constexpr int64_t kProcFileBytesMax = 4 << 20;

}  // namespace

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

std::string KernelName() {
  utsname system = {};
  uname(&system);
  return absl::StrCat(system.sysname, " ", system.release);
}

}  // namespace alchemist
