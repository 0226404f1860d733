#include "tools/bench/proc_files.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"

namespace alchemist {
namespace {

constexpr int64_t kProcFileBytesMax = 16 << 20;

// The path of a mapping's first line, "from-to perms offset device inode   path"; "" of others.
// The lines below it are "Name:   value".
absl::string_view PathOfMapping(absl::string_view line) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(line, absl::MaxSplits(' ', 5), absl::AllowEmpty());
  return fields.size() < 6 ? "" : absl::StripLeadingAsciiWhitespace(fields[5]);
}

bool BeginsMapping(absl::string_view line) {
  const absl::string_view first = line.substr(0, line.find(' '));
  return !absl::EndsWith(first, ":") && absl::StrContains(first, "-");
}

}  // namespace

absl::StatusOr<int64_t> PssBytes(absl::string_view smaps, absl::Span<const std::string> paths) {
  int64_t kilobytes = 0;
  bool is_ours = false, found = false;
  for (const absl::string_view line : absl::StrSplit(smaps, '\n', absl::SkipEmpty())) {
    if (BeginsMapping(line)) {
      const absl::string_view path = PathOfMapping(line);
      is_ours = std::any_of(paths.begin(), paths.end(),
                            [&](const std::string& ours) { return absl::StartsWith(path, ours); });
      found |= is_ours;
    } else if (is_ours && absl::StartsWith(line, "Pss:")) {
      const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
      int64_t pss = 0;
      if (fields.size() != 3 || fields[2] != "kB" || !absl::SimpleAtoi(fields[1], &pss)) {
        return absl::InvalidArgumentError(absl::StrCat("smaps: ", line));
      }
      kilobytes += pss;
    }
  }
  if (!found) return absl::InvalidArgumentError("smaps: the weights are not mapped");
  return kilobytes * 1024;
}

absl::StatusOr<double> CpuSeconds(absl::string_view stat) {
  // The name of the program, in parentheses, may hold spaces.
  const size_t name_end = stat.rfind(')');
  const std::vector<absl::string_view> fields =
      absl::StrSplit(name_end == stat.npos ? "" : stat.substr(name_end), ' ');
  int64_t user = 0, system = 0;
  if (fields.size() < 14 || !absl::SimpleAtoi(fields[12], &user) ||
      !absl::SimpleAtoi(fields[13], &system)) {
    return absl::InvalidArgumentError("stat: has no CPU times");
  }
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

absl::StatusOr<std::string> ReadProcFile(pid_t pid, const std::string& name) {
  return ReadFile(absl::StrCat("/proc/", pid, "/", name), kProcFileBytesMax);
}

}  // namespace alchemist
