// CudaStream, CudaEvent, CudaGraph: order and time on a CudaDevice. Everything queued in a stream
// runs in order; calls return before the device has done it, and an error of a kernel shows in a
// later call (OutOfRange: the context is lost). Move only. One thread at a time, with the device
// bound.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_STREAM_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/cuda/cuda_device.h"

struct CUstream_st;
struct CUevent_st;
struct CUgraphExec_st;
struct CUfunc_st;

namespace alchemist {

// Blocks, and threads of a block. A launch of more than the device takes is InvalidArgument.
struct CudaGrid {
  unsigned int blocks_x = 1;
  unsigned int blocks_y = 1;
  unsigned int threads = 1;
};

class CudaEvent {
 public:
  static absl::StatusOr<CudaEvent> Create(const CudaDevice* device);
  CudaEvent() = default;

  absl::Status Wait() const;               // For the last Record, if there was one.
  absl::StatusOr<bool> HasPassed() const;  // Without waiting.
  // From `start` to this. REQUIRES: both have passed.
  absl::StatusOr<double> MicrosecondsSince(const CudaEvent& start) const;

 private:
  friend class CudaStream;
  struct Destroy {
    const CudaDevice* device;  // Null while there is nothing to destroy.
    void operator()(CUevent_st* event) const;
  };
  const CudaDriver& driver() const;
  std::unique_ptr<CUevent_st, Destroy> event_;
};

// Work that was captured once and is launched as one. `device` outlives it.
class CudaGraph {
 public:
  CudaGraph() = default;

 private:
  friend class CudaStream;
  struct Destroy {
    const CudaDevice* device;  // Null while there is nothing to destroy.
    void operator()(CUgraphExec_st* graph) const;
  };
  std::unique_ptr<CUgraphExec_st, Destroy> graph_;
};

class CudaStream {
 public:
  static absl::StatusOr<CudaStream> Create(const CudaDevice* device);
  CudaStream() = default;

  // Device addresses are those of Buffers and arenas. Host memory that is not pinned
  // (CudaHostMemory) is copied before CopyToDevice returns; CopyToHost then waits for the copy.
  absl::Status CopyToDevice(uint64_t to, const void* from, int64_t bytes);
  absl::Status CopyToHost(void* to, uint64_t from, int64_t bytes);
  absl::Status CopyOnDevice(uint64_t to, uint64_t from, int64_t bytes);
  absl::Status Fill(uint64_t to, uint8_t value, int64_t bytes);

  // `arguments`: the address of each of the kernel's parameters, read before the call returns.
  absl::Status Launch(CUfunc_st* kernel, const CudaGrid& grid, absl::Span<void* const> arguments);
  absl::Status Record(CudaEvent& event);
  // What `queue` queues in this stream is not run but becomes the graph.
  absl::StatusOr<CudaGraph> Capture(const std::function<absl::Status()>& queue);
  absl::Status Launch(const CudaGraph& graph);

  absl::Status Synchronize();
  CUstream_st* handle() const { return stream_.get(); }  // For files of this folder.

 private:
  struct Destroy {
    const CudaDevice* device;  // Null while there is nothing to destroy.
    void operator()(CUstream_st* stream) const;
  };
  const CudaDriver& driver() const;
  std::unique_ptr<CUstream_st, Destroy> stream_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_STREAM_H_
