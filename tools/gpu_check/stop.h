// Ctrl-C and SIGTERM: a run ends at its next wait, with its processes ended and its report written.
// Called by main; StopRequested by any thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_STOP_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_STOP_H_

namespace alchemist {

void HandleStopSignals();
int StopSignal();  // 0 until one came.
inline bool StopRequested() { return StopSignal() != 0; }

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_STOP_H_
