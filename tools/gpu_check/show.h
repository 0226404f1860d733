// ShowReport: `alchemist-gpu-check --show=FILE`, a report from another machine as a table. It needs
// no GPU. Any thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_SHOW_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_SHOW_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace alchemist {

inline constexpr int64_t kReportBytesMax = int64_t{16} << 20;

// TableText of the JSON in the file `path`. Errors are those of ReadFile and ParseReport, and name
// the path; ResourceExhausted for a file of more than kReportBytesMax.
absl::StatusOr<std::string> ShowReport(const std::string& path);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_SHOW_H_
