#include "trainer/idle_priority.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/logging.h"

namespace alchemist {

void EnterIdleAutogroup() {
  const FileDescriptor fd(open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) {
    PLOG(WARNING) << "no autogroup here: /proc/self/autogroup";
    return;
  }
  if (write(fd.get(), "19", 2) != 2) PLOG(WARNING) << "/proc/self/autogroup";
}

}  // namespace alchemist
