#include "base/kill_point.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "base/logging.h"

namespace alchemist {
namespace {

struct Target {
  std::string name;
  int64_t passage = 1;
};

Target TargetFromEnvironment() {
  const char* value = std::getenv("ALCHEMIST_KILL_POINT");
  if (value == nullptr) return {};
  const std::string text = value;
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, 1};
  return {text.substr(0, colon), std::strtoll(text.c_str() + colon + 1, nullptr, 10)};
}

void LogHit(const std::string& name) {
  const char* path = std::getenv("ALCHEMIST_KILL_POINT_LOG");
  if (path == nullptr) return;
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  PCHECK(fd >= 0) << path;
  const std::string line = name + "\n";
  PCHECK(write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size())) << path;
  close(fd);
}

}  // namespace

void PassKillPoint(const char* name) {
  static const Target target = TargetFromEnvironment();
  static std::atomic<int64_t> passages{0};
  if (target.name.empty() || target.name != name) return;
  if (++passages != target.passage) return;
  LogHit(target.name);
  raise(SIGKILL);
}

}  // namespace alchemist
