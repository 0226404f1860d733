// Entry points of events: marks in a stream that keep when they were passed.
#include <time.h>

#include "base/mutex.h"
#include "cuda.h"
#include "kernels/cuda/stand_in/stand_in.h"
#include "kernels/cuda/stand_in/stream.h"

namespace alchemist::stand_in {
namespace {

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Pass(CUevent event) {
  MutexLock lock(&event->mutex);
  ++event->passed;
  event->passed_ns = NowNs();
  event->changed.NotifyAll();
}

void WaitUntilPassed(CUevent event) {
  MutexLock lock(&event->mutex);
  while (event->passed < event->recorded) event->changed.Wait(&event->mutex);
}

// When it was passed, as `passed_ns`, or why there is no such time.
CUresult TimeOf(CUevent event, int64_t& passed_ns) {
  MutexLock lock(&event->mutex);
  if (event->recorded == 0) return CUDA_ERROR_INVALID_HANDLE;
  if (event->passed < event->recorded) return CUDA_ERROR_NOT_READY;
  passed_ns = event->passed_ns;
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace alchemist::stand_in

using namespace alchemist;            // NOLINT: entry points stand outside of all namespaces.
using namespace alchemist::stand_in;  // NOLINT

CUresult cuEventCreate(CUevent* event, unsigned int /*flags*/) {
  STAND_IN_ENTER(cuEventCreate, kContext);
  *event = new CUevent_st;
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent event) {
  STAND_IN_ENTER(cuEventDestroy, kContext);
  WaitUntilPassed(event);
  delete event;
  return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  STAND_IN_ENTER(cuEventRecord, kContext);
  stream = StreamOrDefault(stream);
  if (stream->captured.has_value()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  {
    MutexLock lock(&event->mutex);
    ++event->recorded;
  }
  // Past the check for faults: else whoever waits for the event would wait for ever.
  stream->queue.Add([event] { Pass(event); });
  return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event) {
  STAND_IN_ENTER(cuEventSynchronize, kContext);
  WaitUntilPassed(event);
  return ContextFault();
}

CUresult cuEventQuery(CUevent event) {
  STAND_IN_ENTER(cuEventQuery, kContext);
  MutexLock lock(&event->mutex);
  return event->passed < event->recorded ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  STAND_IN_ENTER(cuEventElapsedTime, kContext);
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  if (const CUresult result = TimeOf(start, start_ns); result != CUDA_SUCCESS) return result;
  if (const CUresult result = TimeOf(end, end_ns); result != CUDA_SUCCESS) return result;
  *milliseconds = static_cast<float>(end_ns - start_ns) / 1e6F;
  return CUDA_SUCCESS;
}
