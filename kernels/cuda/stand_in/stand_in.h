// The stand-in for NVIDIA's driver: a library with the entry points of libcuda that CudaDriver uses
// and with those of NVML, for machines without a GPU. Its device is this machine's CPU, its memory
// are memfds, its streams are threads. What it shares with a GPU is what the CUDA backend is built
// on: order in streams, memory that lives as long as any process holds it, faults that lose the
// context. Any thread; all its state belongs to the process and is never destroyed, because streams
// may be at work until the very end.
//
// Where it differs: device memory is readable by the CPU and host memory by kernels, at the same
// addresses. Queued kernels stop with a stopped process, and die with it at once. All threads of a
// kernel run one after the other, so that a barrier inside one cannot work. Destroying a stream or
// an event waits for what is queued. A fault does not end the kernels of other streams. A copy to
// an address that is not mapped is a fault, not an invalid value.
#ifndef ALCHEMIST_KERNELS_CUDA_STAND_IN_STAND_IN_H_
#define ALCHEMIST_KERNELS_CUDA_STAND_IN_STAND_IN_H_

#include "cuda.h"

namespace alchemist::stand_in {

// The context. Of one device there is one in a process, which is there while it is retained.
CUcontext RetainContext();       // Null: the device has no memory left.
bool ReleaseContext();           // False: it was not retained.
void BindContext(CUcontext);     // To the calling thread; null takes it away.
void LoseContext(CUresult why);  // For good. The first reason stays.
CUresult ContextFault();         // CUDA_SUCCESS unless it is lost.

// What an entry point needs before it can do anything.
enum class Needs {
  kNothing,
  kNoFault,  // Of any kernel so far.
  kContext,  // One that is bound to the calling thread, and no fault.
};

// CUDA_SUCCESS, or what `entry` must return at once.
CUresult Enter(const char* entry, Needs needs);

}  // namespace alchemist::stand_in

// The first line of each entry point. Not a function, because it returns from its caller; the name
// is written as in cuda_driver.h, not as cuda.h's macros have it.
#define STAND_IN_ENTER(entry, needs)                                             \
  if (const CUresult refused =                                                   \
          alchemist::stand_in::Enter(#entry, alchemist::stand_in::Needs::needs); \
      refused != CUDA_SUCCESS) {                                                 \
    return refused;                                                              \
  }

#endif  // ALCHEMIST_KERNELS_CUDA_STAND_IN_STAND_IN_H_
