#include "kernels/cuda/cuda_stream.h"

#include <utility>

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
  const CudaDriver& driver = device->driver();
  CudaEvent event;
  RETURN_IF_ERROR(
      driver.Check(driver.cuEventCreate(&event.event_, CU_EVENT_DEFAULT), "cuEventCreate"));
  event.device_ = device;
  return event;
}

CudaEvent::CudaEvent(CudaEvent&& other) noexcept
    : device_(other.device_), event_(std::exchange(other.event_, nullptr)) {}

CudaEvent& CudaEvent::operator=(CudaEvent&& other) noexcept {
  CudaEvent taken(std::move(other));
  std::swap(device_, taken.device_);
  std::swap(event_, taken.event_);
  return *this;
}

CudaEvent::~CudaEvent() {
  if (event_ == nullptr) return;
  const CudaDriver& driver = device_->driver();
  LogFailure(driver.Check(driver.cuEventDestroy(event_), "cuEventDestroy"));
}

absl::Status CudaEvent::Wait() const {
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuEventSynchronize(event_), "cuEventSynchronize");
}

absl::StatusOr<bool> CudaEvent::HasPassed() const {
  const CudaDriver& driver = device_->driver();
  const CUresult result = driver.cuEventQuery(event_);
  if (result == CUDA_ERROR_NOT_READY) return false;
  RETURN_IF_ERROR(driver.Check(result, "cuEventQuery"));
  return true;
}

absl::StatusOr<double> CudaEvent::MicrosecondsSince(const CudaEvent& start) const {
  const CudaDriver& driver = device_->driver();
  float milliseconds = 0;
  RETURN_IF_ERROR(driver.Check(driver.cuEventElapsedTime(&milliseconds, start.event_, event_),
                               "cuEventElapsedTime"));
  return 1000.0 * milliseconds;
}

CudaGraph::CudaGraph(CudaGraph&& other) noexcept
    : device_(other.device_), graph_(std::exchange(other.graph_, nullptr)) {}

CudaGraph& CudaGraph::operator=(CudaGraph&& other) noexcept {
  CudaGraph taken(std::move(other));
  std::swap(device_, taken.device_);
  std::swap(graph_, taken.graph_);
  return *this;
}

CudaGraph::~CudaGraph() {
  if (graph_ == nullptr) return;
  const CudaDriver& driver = device_->driver();
  LogFailure(driver.Check(driver.cuGraphExecDestroy(graph_), "cuGraphExecDestroy"));
}

absl::StatusOr<CudaStream> CudaStream::Create(const CudaDevice* device) {
  const CudaDriver& driver = device->driver();
  CudaStream stream;
  RETURN_IF_ERROR(
      driver.Check(driver.cuStreamCreateWithPriority(&stream.stream_, CU_STREAM_NON_BLOCKING, 0),
                   "cuStreamCreateWithPriority"));
  stream.device_ = device;
  return stream;
}

CudaStream::CudaStream(CudaStream&& other) noexcept
    : device_(other.device_), stream_(std::exchange(other.stream_, nullptr)) {}

CudaStream& CudaStream::operator=(CudaStream&& other) noexcept {
  CudaStream taken(std::move(other));
  std::swap(device_, taken.device_);
  std::swap(stream_, taken.stream_);
  return *this;
}

CudaStream::~CudaStream() {
  if (stream_ == nullptr) return;
  const CudaDriver& driver = device_->driver();
  LogFailure(driver.Check(driver.cuStreamDestroy(stream_), "cuStreamDestroy"));
}

absl::Status CudaStream::CopyToDevice(uint64_t to, const void* from, int64_t bytes) {
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuMemcpyHtoDAsync(to, from, bytes, stream_), "cuMemcpyHtoDAsync",
                      BytesText(bytes));
}

absl::Status CudaStream::CopyToHost(void* to, uint64_t from, int64_t bytes) {
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuMemcpyDtoHAsync(to, from, bytes, stream_), "cuMemcpyDtoHAsync",
                      BytesText(bytes));
}

absl::Status CudaStream::CopyOnDevice(uint64_t to, uint64_t from, int64_t bytes) {
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuMemcpyDtoDAsync(to, from, bytes, stream_), "cuMemcpyDtoDAsync",
                      BytesText(bytes));
}

absl::Status CudaStream::Fill(uint64_t to, uint8_t value, int64_t bytes) {
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuMemsetD8Async(to, value, bytes, stream_), "cuMemsetD8Async",
                      BytesText(bytes));
}

absl::Status CudaStream::Launch(CUfunc_st* kernel, const CudaGrid& grid,
                                absl::Span<void* const> arguments) {
  const CudaDriver& driver = device_->driver();
  return driver.Check(
      driver.cuLaunchKernel(kernel, grid.blocks_x, grid.blocks_y, 1, grid.threads, 1, 1, 0, stream_,
                            const_cast<void**>(arguments.data()), nullptr),
      "cuLaunchKernel",
      absl::StrCat("of ", grid.blocks_x, " x ", grid.blocks_y, " blocks of ", grid.threads));
}

absl::Status CudaStream::Record(CudaEvent& event) {
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuEventRecord(event.event_, stream_), "cuEventRecord");
}

absl::StatusOr<CudaGraph> CudaStream::Capture(const std::function<absl::Status()>& queue) {
  const CudaDriver& driver = device_->driver();
  RETURN_IF_ERROR(
      driver.Check(driver.cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                   "cuStreamBeginCapture"));
  absl::Status status = queue();
  CUgraph captured = nullptr;
  status.Update(driver.Check(driver.cuStreamEndCapture(stream_, &captured), "cuStreamEndCapture"));
  CudaGraph graph;
  graph.device_ = device_;
  if (status.ok()) {
    status.Update(driver.Check(driver.cuGraphInstantiateWithFlags(&graph.graph_, captured, 0),
                               "cuGraphInstantiateWithFlags"));
  }
  if (captured != nullptr) {
    status.Update(driver.Check(driver.cuGraphDestroy(captured), "cuGraphDestroy"));
  }
  if (!status.ok()) return status;
  return graph;
}

absl::Status CudaStream::Launch(const CudaGraph& graph) {
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuGraphLaunch(graph.graph_, stream_), "cuGraphLaunch");
}

absl::Status CudaStream::Synchronize() {
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuStreamSynchronize(stream_), "cuStreamSynchronize");
}

}  // namespace alchemist
