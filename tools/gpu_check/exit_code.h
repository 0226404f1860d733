// How alchemist-gpu-check ends: its exit codes. Plain values.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_EXIT_CODE_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_EXIT_CODE_H_

namespace alchemist {

inline constexpr int kExitPassed = 0;        // Everything ran and nothing failed.
inline constexpr int kExitBadArguments = 1;  // A flag or a file is wrong.
inline constexpr int kExitFailed = 2;        // A check failed, or the device could not be opened.
inline constexpr int kExitNoGpu = 3;         // There is no GPU, no driver for it, or no room on it.
inline constexpr int kExitNotRun = 4;        // Nothing failed, but something was not run.

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_EXIT_CODE_H_
