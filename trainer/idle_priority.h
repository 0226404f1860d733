// Idle priority (DESIGN.md section 9): the trainer gives way to everything else on the machine.
#ifndef ALCHEMIST_TRAINER_IDLE_PRIORITY_H_
#define ALCHEMIST_TRAINER_IDLE_PRIORITY_H_

namespace alchemist {

// Puts this session's autogroup last: without it, SCHED_IDLE means nothing between sessions. Says
// so, and changes nothing, where the kernel has no autogroups.
void EnterIdleAutogroup();

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_IDLE_PRIORITY_H_
