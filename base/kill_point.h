// KILL_POINT(name): a marked place at which a crash test can kill this process. Does nothing unless
// ALCHEMIST_KILL_POINT=name[:n] is in the environment: then the n-th passage (default the first)
// appends the name to the file ALCHEMIST_KILL_POINT_LOG and raises SIGKILL. Any thread.
#ifndef ALCHEMIST_BASE_KILL_POINT_H_
#define ALCHEMIST_BASE_KILL_POINT_H_

namespace alchemist {

void PassKillPoint(const char* name);

}  // namespace alchemist

#define KILL_POINT(name) ::alchemist::PassKillPoint(name)

#endif  // ALCHEMIST_BASE_KILL_POINT_H_
