// What main gives to a benchmark, and what it gives back. Plain values; one thread.
#ifndef ALCHEMIST_TOOLS_BENCH_CONTEXT_H_
#define ALCHEMIST_TOOLS_BENCH_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "tools/bench/row.h"

namespace alchemist {

struct BenchContext {
  std::string model_directory;
  std::string work_dir;  // For sockets and data; removed at the end.
  std::string data_dir;  // ALCHEMIST_DATA, or "".
  std::string server_program;
  std::string trainer_program;
  int threads = 1;
  int64_t pairs = 9;
  bool is_short = false;  // Everything little: whether it works, not how fast it is.
  std::string only;       // Rows whose name does not contain it need not be measured.

  const std::atomic<bool>* stop = nullptr;  // Waits end once it is true.
  // Shows how far a long measurement is. CANCELLED when the user wants it ended.
  std::function<absl::Status(const std::string& what, int64_t done, int64_t of)> progress;

  bool Wants(absl::string_view row) const { return absl::StrContains(row, only); }
  // `progress` for the pairs of one measurement. The context must outlive it.
  std::function<absl::Status(int64_t)> PairProgress(const std::string& what, int64_t of) const {
    return [this, what, of](int64_t done) { return progress(what, done, of); };
  }
};

struct BenchResult {
  std::vector<BenchRow> rows;
  std::string skip_reason;  // Not empty: nothing could be measured here, and why.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_CONTEXT_H_
