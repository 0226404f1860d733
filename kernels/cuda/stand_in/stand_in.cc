#include "kernels/cuda/stand_in/stand_in.h"

#include <atomic>

#include "base/file.h"
#include "base/mutex.h"
#include "kernels/cuda/stand_in/device_memory.h"
#include "kernels/cuda/stand_in/settings.h"

struct CUctx_st {};  // The address is all there is to it.

namespace alchemist::stand_in {
namespace {

constexpr uint64_t kMarkerBytes = 4096;

// Guards the context's count. `marker` is memory without content: who has the device open is on
// its list of processes, with or without allocations.
struct Context {
  Mutex mutex;
  int retained ABSL_GUARDED_BY(mutex) = 0;
  FileDescriptor marker ABSL_GUARDED_BY(mutex);
  CUctx_st object;
};

Context& TheContext() {
  static Context& context = *new Context;
  return context;
}

std::atomic<CUresult> context_fault{CUDA_SUCCESS};
thread_local CUcontext bound_context = nullptr;

}  // namespace

CUcontext RetainContext() {
  Context& context = TheContext();
  MutexLock lock(&context.mutex);
  if (context.retained == 0) context.marker = CreateMemory(kMarkerBytes);
  if (!context.marker.valid()) return nullptr;
  ++context.retained;
  return &context.object;
}

bool ReleaseContext() {
  Context& context = TheContext();
  MutexLock lock(&context.mutex);
  if (context.retained == 0) return false;
  if (--context.retained == 0) context.marker = FileDescriptor();
  return true;
}

void BindContext(CUcontext context) { bound_context = context; }

void LoseContext(CUresult why) {
  CUresult healthy = CUDA_SUCCESS;
  context_fault.compare_exchange_strong(healthy, why);
}

CUresult ContextFault() { return context_fault; }

CUresult Enter(const char* entry, Needs needs) {
  if (const int injected = InjectedFailure(entry); injected != 0) {
    return static_cast<CUresult>(injected);
  }
  if (needs == Needs::kNothing) return CUDA_SUCCESS;
  if (const CUresult fault = ContextFault(); fault != CUDA_SUCCESS) return fault;
  if (needs == Needs::kNoFault) return CUDA_SUCCESS;
  if (bound_context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  Context& context = TheContext();
  MutexLock lock(&context.mutex);
  return context.retained == 0 ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_SUCCESS;
}

}  // namespace alchemist::stand_in
