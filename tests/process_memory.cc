#include "tests/process_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "tests/sanitized.h"

namespace alchemist {

int64_t ResidentBytes(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/statm"));
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  CHECK_GT(resident, 0) << "no process " << pid;
  return resident * sysconf(_SC_PAGESIZE);
}

void ExpectMemoryBelow(int64_t bytes, pid_t pid) {
  const int64_t resident = ResidentBytes(pid);
  if (kSanitized) return;
  EXPECT_LE(resident, bytes) << "above by " << resident - bytes;
}

}  // namespace alchemist
