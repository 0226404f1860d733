// CudnnDescriptor: one object of cuDNN's graph interface: a tensor, an operation, a plan. Made and
// finalised at once from its attributes. Only files of this folder include it. Move only; the
// entries, and the descriptors that it names as attributes, outlive it. One thread at a time.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDNN_DESCRIPTOR_H_
#define ALCHEMIST_KERNELS_CUDA_CUDNN_DESCRIPTOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/cuda/cudnn_entries.h"

namespace alchemist {

class CudnnDescriptor;

// A name, a type and values of that type, copied.
class CudnnAttribute {
 public:
  using Name = cudnnBackendAttributeName_t;
  CudnnAttribute(Name name, absl::Span<const int64_t> values);
  CudnnAttribute(Name name, bool value);
  CudnnAttribute(Name name, cudnnDataType_t value);
  CudnnAttribute(Name name, cudnnPointwiseMode_t value);
  CudnnAttribute(Name name, cudnnReduceTensorOp_t value);
  CudnnAttribute(Name name, cudnnBackendHeurMode_t value);
  CudnnAttribute(Name name, cudnnHandle_t value);
  CudnnAttribute(Name name, absl::Span<void* const> addresses);
  CudnnAttribute(Name name, absl::Span<const char> text);
  CudnnAttribute(Name name, const CudnnDescriptor& value);
  CudnnAttribute(Name name, absl::Span<const CudnnDescriptor* const> values);

 private:
  friend class CudnnDescriptor;
  CudnnAttribute(Name name, cudnnBackendAttributeType_t type, int64_t count, const void* values,
                 int64_t bytes);

  Name name_;
  cudnnBackendAttributeType_t type_;
  int64_t count_;
  std::string values_;
};

class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(const CudnnEntries* entries) : entries_(entries) {}  // Holds nothing.
  // The error of the attribute or of finalising, with cuDNN's reason.
  static absl::StatusOr<CudnnDescriptor> Create(const CudnnEntries* entries,
                                                cudnnBackendDescriptorType_t type,
                                                const std::vector<CudnnAttribute>& attributes);
  CudnnDescriptor(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept;
  ~CudnnDescriptor();

  absl::StatusOr<int64_t> GetInt64(cudnnBackendAttributeName_t name) const;
  // Every descriptor, of `type`, that the attribute lists.
  absl::StatusOr<std::vector<CudnnDescriptor>> GetList(cudnnBackendAttributeName_t name,
                                                       cudnnBackendDescriptorType_t type) const;
  cudnnBackendDescriptor_t get() const { return descriptor_; }

 private:
  static absl::StatusOr<CudnnDescriptor> CreateEmpty(const CudnnEntries* entries,
                                                     cudnnBackendDescriptorType_t type);

  const CudnnEntries* entries_;
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDNN_DESCRIPTOR_H_
