// CudnnAttentionGraph: causal attention as cuDNN's graph of operations, in the order that its fused
// engines recognise: the scores never reach memory. Only files of this folder include it. Move
// only; the entries outlive it. One thread at a time.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_GRAPH_H_
#define ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_GRAPH_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "base/status.h"
#include "kernels/cuda/cudnn_attention_shape.h"
#include "kernels/cuda/cudnn_descriptor.h"
#include "kernels/cuda/cudnn_entries.h"

namespace alchemist {

// The tensors that a variant pack gives the plan, by their numbers in the graph. The last two are
// floats in host memory.
enum CudnnAttentionTensor : int64_t {
  kCudnnQ = 1,
  kCudnnK,
  kCudnnV,
  kCudnnOutput,
  kCudnnLogSumExp,
  kCudnnScale,
  kCudnnMasked,  // What a score is replaced by that a token must not see.
  kCudnnFirstVirtual,
};

class CudnnAttentionGraph {
 public:
  // `handle` null: a graph for no device in particular. REQUIRES: shape.Check() is OK.
  static absl::StatusOr<CudnnAttentionGraph> Create(const CudnnEntries* entries,
                                                    const CudnnAttentionShape& shape,
                                                    cudnnHandle_t handle);

  const CudnnDescriptor& operations() const { return descriptors_.back(); }
  // Configurations of engines that compute the graph, best first; empty when none does.
  // `properties`: of the device, where the graph has no handle.
  absl::StatusOr<std::vector<CudnnDescriptor>> Engines(const CudnnDescriptor* properties) const;

 private:
  CudnnAttentionGraph(const CudnnEntries* entries, std::deque<CudnnDescriptor> descriptors);

  const CudnnEntries* entries_;
  std::deque<CudnnDescriptor> descriptors_;  // Tensors and operations; last what joins them.
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDNN_ATTENTION_GRAPH_H_
