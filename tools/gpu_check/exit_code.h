// How alchemist-gpu-check ends: its exit codes. Plain values.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_EXIT_CODE_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_EXIT_CODE_H_

namespace alchemist {

inline constexpr int kExitPassed = 0;        // Everything ran and nothing failed.
inline constexpr int kExitBadArguments = 1;  // Nothing ran: a flag or a file is wrong.
inline constexpr int kExitFailed = 2;        // A check failed, whatever else happened.
inline constexpr int kExitNoGpu = 3;         // Nothing ran: there is no GPU, or no driver for it.
inline constexpr int kExitNotRun = 4;        // Nothing failed, but something was not run.

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_EXIT_CODE_H_
