// What the kernel says of a process: memory of its mappings, CPU time. Parsing is pure; any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_PROC_FILES_H_
#define ALCHEMIST_TOOLS_BENCH_PROC_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status.h"

namespace alchemist {

// The proportional set size, in bytes, of the mappings in `smaps` whose path begins with one of
// `paths`: pages that n processes share count 1/n. InvalidArgument when there is no such mapping.
absl::StatusOr<int64_t> PssBytes(absl::string_view smaps, absl::Span<const std::string> paths);

// User and system time in seconds, of the text of /proc/PID/stat.
absl::StatusOr<double> CpuSeconds(absl::string_view stat);

// /proc/<pid>/<name>
absl::StatusOr<std::string> ReadProcFile(pid_t pid, const std::string& name);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_PROC_FILES_H_
