// What is expected of the quickstart on the model that it was made with, and whether a run met it.
// Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_EXPECTATIONS_H_
#define ALCHEMIST_TOOLS_QUICKSTART_EXPECTATIONS_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tools/quickstart/run_result.h"

namespace alchemist {

struct Expectation {
  std::string name;
  std::string bound;  // "at most 0.2"
  std::string value;
  bool met = false;
};

// Of each measurement the worst of `runs`; of retained accuracy the run that lost most, so that
// before and after belong together. Its seed means nothing. REQUIRES: there is a run.
RunResult WorstOf(absl::Span<const RunResult> runs);

std::vector<Expectation> Judge(const RunResult& worst);
bool AllMet(absl::Span<const Expectation> expectations);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_EXPECTATIONS_H_
