#include "kernels/cuda/stand_in/settings.h"

#include <unistd.h>

#include <cstdlib>
#include <map>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/mutex.h"

namespace alchemist::stand_in {
namespace {

std::string Setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int64_t NumberSetting(const char* name, int64_t otherwise) {
  int64_t value = 0;
  return absl::SimpleAtoi(Setting(name), &value) ? value : otherwise;
}

// Counts the calls of all entry points since the setting changed.
struct Failures {
  Mutex mutex;
  std::string setting ABSL_GUARDED_BY(mutex);
  std::map<std::string, int> calls ABSL_GUARDED_BY(mutex);
};

}  // namespace

int DeviceCount() { return NumberSetting("ALCHEMIST_STAND_IN_DEVICES", 1) == 0 ? 0 : 1; }

int DriverVersion() { return static_cast<int>(NumberSetting("ALCHEMIST_STAND_IN_VERSION", 13000)); }

uint64_t MemoryBytes() {
  return NumberSetting("ALCHEMIST_STAND_IN_MEMORY_BYTES", int64_t{1} << 30);
}

std::string MachineName() { return Setting("ALCHEMIST_STAND_IN_MACHINE"); }

bool IsUnderMps() {
  const std::string directory = Setting("CUDA_MPS_PIPE_DIRECTORY");
  return !directory.empty() && access((directory + "/control").c_str(), F_OK) == 0;
}

int InjectedFailure(const char* entry) {
  static Failures& failures = *new Failures;
  MutexLock lock(&failures.mutex);
  const std::string setting = Setting("ALCHEMIST_STAND_IN_FAIL");
  if (setting != failures.setting) failures.calls.clear();
  failures.setting = setting;
  const std::vector<std::string> parts = absl::StrSplit(setting, ':');
  int call = 0;
  int result = 0;
  if (parts.size() != 3 || parts[0] != entry || !absl::SimpleAtoi(parts[1], &call) ||
      !absl::SimpleAtoi(parts[2], &result)) {
    return 0;
  }
  return ++failures.calls[entry] == call ? result : 0;
}

}  // namespace alchemist::stand_in
