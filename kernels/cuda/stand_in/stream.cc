#include "kernels/cuda/stand_in/stream.h"

#include <utility>

#include "kernels/cuda/stand_in/stand_in.h"

namespace alchemist::stand_in {

CUstream StreamOrDefault(CUstream stream) {
  if (stream != nullptr) return stream;
  static CUstream_st& of_process = *new CUstream_st;
  return &of_process;
}

void Queue(CUstream stream, Work work) {
  stream = StreamOrDefault(stream);
  if (stream->captured.has_value()) {
    stream->captured->work.push_back(std::move(work));
  } else {
    stream->queue.Add([work = std::move(work)] { DoOrLoseContext(work); });
  }
}

CUresult Synchronize(CUstream stream) {
  stream = StreamOrDefault(stream);
  if (stream->captured.has_value()) {
    stream->capture_broken = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  stream->queue.Wait();
  return ContextFault();
}

}  // namespace alchemist::stand_in

using namespace alchemist::stand_in;  // NOLINT: entry points stand outside of all namespaces.

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned int /*flags*/, int /*priority*/) {
  STAND_IN_ENTER(cuStreamCreateWithPriority, kContext);
  *stream = new CUstream_st;
  return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream stream) {
  STAND_IN_ENTER(cuStreamDestroy, kContext);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  delete stream;
  return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream) {
  STAND_IN_ENTER(cuStreamSynchronize, kContext);
  return Synchronize(stream);
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode /*mode*/) {
  STAND_IN_ENTER(cuStreamBeginCapture, kContext);
  if (stream == nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (stream->captured.has_value()) return CUDA_ERROR_ILLEGAL_STATE;
  stream->captured.emplace();
  stream->capture_broken = false;
  return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  STAND_IN_ENTER(cuStreamEndCapture, kContext);
  *graph = nullptr;
  if (stream == nullptr || !stream->captured.has_value()) return CUDA_ERROR_ILLEGAL_STATE;
  CUgraph_st captured = *std::exchange(stream->captured, std::nullopt);
  if (stream->capture_broken) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  *graph = new CUgraph_st(std::move(captured));
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* launchable, CUgraph graph,
                                     unsigned long long /*flags*/) {
  STAND_IN_ENTER(cuGraphInstantiateWithFlags, kContext);
  if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *launchable = new CUgraphExec_st{graph->work};
  return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph) {
  STAND_IN_ENTER(cuGraphDestroy, kContext);
  delete graph;
  return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec launchable) {
  STAND_IN_ENTER(cuGraphExecDestroy, kContext);
  delete launchable;
  return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec launchable, CUstream stream) {
  STAND_IN_ENTER(cuGraphLaunch, kContext);
  if (launchable == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (const Work& work : launchable->work) Queue(stream, work);
  return CUDA_SUCCESS;
}
