#include "tools/gpu_check/show.h"

#include "base/file.h"
#include "tools/gpu_check/report.h"

namespace alchemist {

absl::StatusOr<std::string> ShowReport(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kReportBytesMax));
  ASSIGN_OR_RETURN(const GpuReport report, ParseReport(text, path));
  return TableText(report);
}

}  // namespace alchemist
