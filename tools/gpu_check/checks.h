// The experiments behind the catalogue's questions, by group. What each does and what follows from
// its outcomes stands in its result.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_CHECKS_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_CHECKS_H_

#include "tools/gpu_check/check_run.h"

namespace alchemist {

CheckFunctions SharingChecks();
CheckFunctions DeathChecks();
CheckFunctions ReclaimChecks();
CheckFunctions InterferenceChecks();
CheckFunctions SpeedChecks();

CheckFunctions AllChecks();

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_CHECKS_H_
