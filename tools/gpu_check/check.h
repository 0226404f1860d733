// Check: one question to the machine and what it answered; the unit of alchemist-gpu-check's table,
// its JSON and docs/gpu.md. Plain values.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_CHECK_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_CHECK_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace alchemist {

enum class CheckVerdict {
  kPass,      // The machine behaves as the design assumes.
  kFail,      // It does not: `consequence` says what follows.
  kMeasured,  // A number or a fact that decides a default; there is no wrong answer.
  kNotRun,    // `happened` says why.
};

struct Measurement {
  std::string
      name;  // "import_us_per_chunk", or "row/column" of a table: all of a check's, or none.
  double value = 0;
  std::string unit;  // "us", "GB/s", "chunks".

  bool operator==(const Measurement&) const = default;
};

struct CheckResult {
  std::string id;        // "sharing.canary": the group, then one word per idea.
  std::string question;  // One sentence, ending in a question mark.
  std::string done;      // What was done.
  std::string happened;  // What was seen.
  CheckVerdict verdict = CheckVerdict::kNotRun;
  std::string consequence;  // What it means for the defaults.
  std::vector<Measurement> measurements = {};
  double seconds = 0;  // What it took to find out.

  bool operator==(const CheckResult&) const = default;
};

struct GpuReport {
  std::string date;     // UTC, "2026-11-30T21:41:03Z".
  std::string form;     // "short" or "long".
  std::string command;  // As it was typed.
  // The machine in words, in this order: GPU, UUID, driver, compute capability, memory, kernel,
  // CPU.
  std::vector<std::pair<std::string, std::string>> machine;
  int64_t planned = 0;  // How many results there are once it has ended.
  std::vector<CheckResult> results;
  double seconds = 0;

  bool operator==(const GpuReport&) const = default;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_CHECK_H_
