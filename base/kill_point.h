// KILL_POINT(name): a marked place at which a crash test can kill this process. Does nothing unless
// ALCHEMIST_KILL_POINT=name[:n] is in the environment: then the n-th passage (default the first)
// appends the name to the file ALCHEMIST_KILL_POINT_LOG and raises SIGKILL. Any thread.
#ifndef ALCHEMIST_BASE_KILL_POINT_H_
#define ALCHEMIST_BASE_KILL_POINT_H_

#include "absl/strings/string_view.h"

namespace alchemist {

// Every kill point there is: one that is not here does not compile, and tests/crash_e2e_test kills
// at each of these.
inline constexpr absl::string_view kKillPoints[] = {
    "registry.first_revision_saved",
    "log.before_commit",
    "log.after_commit",
    "log.after_ack",
    "feedback.committed",
    "server.record_sealed",
    "server.completion_posted",
    "server.hello_logged",
    "server.leased",
    "publish.minted",
    "publish.renamed",
    "publish.committed",
    "trainer.item_received",
    "trainer.step_begins",
    "trainer.layer_done",
    "trainer.step_applied",
    "checkpoint.moments_written",
    "checkpoint.before_rename",
    "checkpoint.after_rename",
    "trainer.checkpointed",
    "trainer.candidate_written",
    "trainer.published",
    "trainer.publish_accepted",
};

constexpr bool IsKillPoint(absl::string_view name) {
  for (const absl::string_view point : kKillPoints) {
    if (point == name) return true;
  }
  return false;
}

void PassKillPoint(const char* name);

}  // namespace alchemist

#define KILL_POINT(name)                                                        \
  do {                                                                          \
    static_assert(::alchemist::IsKillPoint(name), "not in kKillPoints: " name); \
    ::alchemist::PassKillPoint(name);                                           \
  } while (false)

#endif  // ALCHEMIST_BASE_KILL_POINT_H_
