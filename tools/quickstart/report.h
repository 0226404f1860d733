// The report of a quickstart: JSON for programs, a table for people. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_REPORT_H_
#define ALCHEMIST_TOOLS_QUICKSTART_REPORT_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tools/quickstart/expectations.h"
#include "tools/quickstart/run_result.h"

namespace alchemist {

// An object with the measurements of WorstOf(runs), each run's own under "runs", and the
// expectations, null when this model is not judged. What never came is null. REQUIRES: there is a
// run.
std::string ReportJson(absl::Span<const RunResult> runs,
                       absl::Span<const Expectation> expectations);

// The measurements of one run, or of the worst of several, under `title`.
std::string SummaryText(const std::string& title, const RunResult& result);

// A line for each expectation; says so when there are none.
std::string VerdictText(absl::Span<const Expectation> expectations);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_REPORT_H_
