// A benchmark's rows as a table for people and as JSON (DESIGN.md section 12). Pure functions; any
// thread.
#ifndef ALCHEMIST_TOOLS_BENCH_REPORT_H_
#define ALCHEMIST_TOOLS_BENCH_REPORT_H_

#include <string>
#include <vector>

#include "tools/bench/row.h"

namespace alchemist {

struct BenchReport {
  std::string benchmark;
  BenchParams machine;
  std::string command;
  std::vector<BenchRow> rows;
};

// Each row with its target, value, spread, A against A and verdict; its parameters below it.
std::string TableText(const BenchReport& report);

// {"benchmark", "machine", "command", "rows": [{"name", "value", "unit", "spread": [low, high],
// "noisy", "target", "a_over_a", "verdict", "params"}]}. A row without target or A against A has
// null there.
std::string ReportJson(const BenchReport& report);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_REPORT_H_
