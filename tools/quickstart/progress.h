// Progress: what a quickstart shows while it runs, as a table or as a line. Pure functions; any
// thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_PROGRESS_H_
#define ALCHEMIST_TOOLS_QUICKSTART_PROGRESS_H_

#include <cstdint>
#include <limits>
#include <string>

namespace alchemist {

struct Progress {
  std::string run;    // "seed 2, run 1 of 3"
  std::string phase;  // What happens now, in words.
  double seconds = 0;

  // An exam, while asked_of > 0.
  int64_t asked = 0;
  int64_t asked_of = 0;
  std::string accuracy;  // Of the last exams, in words.

  int64_t facts = 0;  // To be corrected.
  int64_t facts_begun = 0;
  int64_t facts_seen_right = 0;
  int64_t feedback_sent = 0;
  int64_t feedback_served = 0;

  uint64_t revision = 0;
  int64_t steps = 0;
  int64_t tokens_reused = 0;
  int64_t tokens_recomputed = 0;
  double ttft_ms = std::numeric_limits<double>::infinity();  // Of late; infinity: not known.
};

// Always the same number of lines, each ended, none above 80 columns.
std::string FormatTable(const Progress& progress);

// One line, not ended.
std::string FormatLine(const Progress& progress);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_PROGRESS_H_
