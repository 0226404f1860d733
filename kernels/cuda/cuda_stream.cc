#include "kernels/cuda/cuda_stream.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/cuda/cuda_driver.h"

namespace alchemist {
namespace {

std::string BytesText(int64_t bytes) { return absl::StrCat("of ", bytes, " bytes"); }

void LogFailure(const absl::Status& status) {
  if (!status.ok()) LOG(ERROR) << status;
}

}  // namespace

absl::StatusOr<CudaEvent> CudaEvent::Create(const CudaDevice* device) {
  CUevent created = nullptr;
  RETURN_IF_ERROR(device->driver().Check(device->driver().cuEventCreate(&created, CU_EVENT_DEFAULT),
                                         "cuEventCreate"));
  CudaEvent event;
  event.event_ = {created, Destroy{device}};
  return event;
}

void CudaEvent::Destroy::operator()(CUevent_st* event) const {
  LogFailure(device->driver().Check(device->driver().cuEventDestroy(event), "cuEventDestroy"));
}

const CudaDriver& CudaEvent::driver() const { return event_.get_deleter().device->driver(); }

absl::Status CudaEvent::Wait() const {
  return driver().Check(driver().cuEventSynchronize(event_.get()), "cuEventSynchronize");
}

absl::StatusOr<bool> CudaEvent::HasPassed() const {
  const CUresult result = driver().cuEventQuery(event_.get());
  if (result == CUDA_ERROR_NOT_READY) return false;
  RETURN_IF_ERROR(driver().Check(result, "cuEventQuery"));
  return true;
}

absl::StatusOr<double> CudaEvent::MicrosecondsSince(const CudaEvent& start) const {
  float milliseconds = 0;
  RETURN_IF_ERROR(
      driver().Check(driver().cuEventElapsedTime(&milliseconds, start.event_.get(), event_.get()),
                     "cuEventElapsedTime"));
  return 1000.0 * milliseconds;
}

void CudaGraph::Destroy::operator()(CUgraphExec_st* graph) const {
  LogFailure(
      device->driver().Check(device->driver().cuGraphExecDestroy(graph), "cuGraphExecDestroy"));
}

absl::StatusOr<CudaStream> CudaStream::Create(const CudaDevice* device) {
  CUstream created = nullptr;
  RETURN_IF_ERROR(device->driver().Check(
      device->driver().cuStreamCreateWithPriority(&created, CU_STREAM_NON_BLOCKING, 0),
      "cuStreamCreateWithPriority"));
  CudaStream stream;
  stream.stream_ = {created, Destroy{device}};
  return stream;
}

void CudaStream::Destroy::operator()(CUstream_st* stream) const {
  LogFailure(device->driver().Check(device->driver().cuStreamDestroy(stream), "cuStreamDestroy"));
}

const CudaDriver& CudaStream::driver() const { return stream_.get_deleter().device->driver(); }

absl::Status CudaStream::CopyToDevice(uint64_t to, const void* from, int64_t bytes) {
  return driver().Check(driver().cuMemcpyHtoDAsync(to, from, bytes, handle()), "cuMemcpyHtoDAsync",
                        BytesText(bytes));
}

absl::Status CudaStream::CopyToHost(void* to, uint64_t from, int64_t bytes) {
  return driver().Check(driver().cuMemcpyDtoHAsync(to, from, bytes, handle()), "cuMemcpyDtoHAsync",
                        BytesText(bytes));
}

absl::Status CudaStream::CopyOnDevice(uint64_t to, uint64_t from, int64_t bytes) {
  return driver().Check(driver().cuMemcpyDtoDAsync(to, from, bytes, handle()), "cuMemcpyDtoDAsync",
                        BytesText(bytes));
}

absl::Status CudaStream::Fill(uint64_t to, uint8_t value, int64_t bytes) {
  return driver().Check(driver().cuMemsetD8Async(to, value, bytes, handle()), "cuMemsetD8Async",
                        BytesText(bytes));
}

absl::Status CudaStream::Launch(CUfunc_st* kernel, const CudaGrid& grid,
                                absl::Span<void* const> arguments) {
  return driver().Check(
      driver().cuLaunchKernel(kernel, grid.blocks_x, grid.blocks_y, 1, grid.threads, 1, 1, 0,
                              handle(), const_cast<void**>(arguments.data()), nullptr),
      "cuLaunchKernel",
      absl::StrCat("of ", grid.blocks_x, " x ", grid.blocks_y, " blocks of ", grid.threads));
}

absl::Status CudaStream::Record(CudaEvent& event) {
  return driver().Check(driver().cuEventRecord(event.event_.get(), handle()), "cuEventRecord");
}

absl::StatusOr<CudaGraph> CudaStream::Capture(const std::function<absl::Status()>& queue) {
  RETURN_IF_ERROR(
      driver().Check(driver().cuStreamBeginCapture(handle(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                     "cuStreamBeginCapture"));
  absl::Status status = queue();
  CUgraph captured = nullptr;
  status.Update(
      driver().Check(driver().cuStreamEndCapture(handle(), &captured), "cuStreamEndCapture"));
  CUgraphExec instance = nullptr;
  if (status.ok()) {
    status.Update(driver().Check(driver().cuGraphInstantiateWithFlags(&instance, captured, 0),
                                 "cuGraphInstantiateWithFlags"));
  }
  if (captured != nullptr) {
    status.Update(driver().Check(driver().cuGraphDestroy(captured), "cuGraphDestroy"));
  }
  CudaGraph graph;
  graph.graph_ = {instance, CudaGraph::Destroy{stream_.get_deleter().device}};
  if (!status.ok()) return status;
  return graph;
}

absl::Status CudaStream::Launch(const CudaGraph& graph) {
  return driver().Check(driver().cuGraphLaunch(graph.graph_.get(), handle()), "cuGraphLaunch");
}

absl::Status CudaStream::Synchronize() {
  return driver().Check(driver().cuStreamSynchronize(handle()), "cuStreamSynchronize");
}

}  // namespace alchemist
