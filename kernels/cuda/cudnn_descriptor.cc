#include "kernels/cuda/cudnn_descriptor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

std::vector<void*> Descriptors(absl::Span<const CudnnDescriptor* const> values) {
  std::vector<void*> descriptors;
  descriptors.reserve(values.size());
  for (const CudnnDescriptor* value : values) descriptors.push_back(value->get());
  return descriptors;
}

}  // namespace

CudnnAttribute::CudnnAttribute(Name name, cudnnBackendAttributeType_t type, int64_t count,
                               const void* values, int64_t bytes)
    : name_(name), type_(type), count_(count), values_(static_cast<const char*>(values), bytes) {}

CudnnAttribute::CudnnAttribute(Name name, absl::Span<const int64_t> values)
    : CudnnAttribute(name, CUDNN_TYPE_INT64, values.size(), values.data(),
                     values.size() * sizeof(int64_t)) {}
CudnnAttribute::CudnnAttribute(Name name, bool value)
    : CudnnAttribute(name, CUDNN_TYPE_BOOLEAN, 1, &value, sizeof(value)) {}
CudnnAttribute::CudnnAttribute(Name name, cudnnDataType_t value)
    : CudnnAttribute(name, CUDNN_TYPE_DATA_TYPE, 1, &value, sizeof(value)) {}
CudnnAttribute::CudnnAttribute(Name name, cudnnPointwiseMode_t value)
    : CudnnAttribute(name, CUDNN_TYPE_POINTWISE_MODE, 1, &value, sizeof(value)) {}
CudnnAttribute::CudnnAttribute(Name name, cudnnReduceTensorOp_t value)
    : CudnnAttribute(name, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &value, sizeof(value)) {}
CudnnAttribute::CudnnAttribute(Name name, cudnnBackendHeurMode_t value)
    : CudnnAttribute(name, CUDNN_TYPE_HEUR_MODE, 1, &value, sizeof(value)) {}
CudnnAttribute::CudnnAttribute(Name name, cudnnHandle_t value)
    : CudnnAttribute(name, CUDNN_TYPE_HANDLE, 1, &value, sizeof(value)) {}
CudnnAttribute::CudnnAttribute(Name name, absl::Span<void* const> addresses)
    : CudnnAttribute(name, CUDNN_TYPE_VOID_PTR, addresses.size(), addresses.data(),
                     addresses.size() * sizeof(void*)) {}
CudnnAttribute::CudnnAttribute(Name name, absl::Span<const char> text)
    : CudnnAttribute(name, CUDNN_TYPE_CHAR, text.size(), text.data(), text.size()) {}
CudnnAttribute::CudnnAttribute(Name name, const CudnnDescriptor& value)
    : CudnnAttribute(name, absl::Span<const CudnnDescriptor* const>({&value})) {}
CudnnAttribute::CudnnAttribute(Name name, absl::Span<const CudnnDescriptor* const> values)
    : CudnnAttribute(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, values.size(), Descriptors(values).data(),
                     values.size() * sizeof(void*)) {}

absl::StatusOr<CudnnDescriptor> CudnnDescriptor::CreateEmpty(const CudnnEntries* entries,
                                                             cudnnBackendDescriptorType_t type) {
  CudnnDescriptor descriptor(entries);
  RETURN_IF_ERROR(
      entries->Check(entries->cudnnBackendCreateDescriptor(type, &descriptor.descriptor_),
                     "cudnnBackendCreateDescriptor", absl::StrCat(type)));
  return descriptor;
}

absl::StatusOr<CudnnDescriptor> CudnnDescriptor::Create(
    const CudnnEntries* entries, cudnnBackendDescriptorType_t type,
    const std::vector<CudnnAttribute>& attributes) {
  ASSIGN_OR_RETURN(CudnnDescriptor descriptor, CreateEmpty(entries, type));
  for (const CudnnAttribute& attribute : attributes) {
    RETURN_IF_ERROR(entries->Check(
        entries->cudnnBackendSetAttribute(descriptor.get(), attribute.name_, attribute.type_,
                                          attribute.count_, attribute.values_.data()),
        "cudnnBackendSetAttribute", absl::StrCat(attribute.name_)));
  }
  RETURN_IF_ERROR(entries->Check(entries->cudnnBackendFinalize(descriptor.get()),
                                 "cudnnBackendFinalize", absl::StrCat("of type ", type)));
  return descriptor;
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : entries_(other.entries_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}

CudnnDescriptor& CudnnDescriptor::operator=(CudnnDescriptor&& other) noexcept {
  CudnnDescriptor taken(std::move(other));
  std::swap(entries_, taken.entries_);
  std::swap(descriptor_, taken.descriptor_);
  return *this;
}

CudnnDescriptor::~CudnnDescriptor() {
  if (descriptor_ == nullptr) return;
  const absl::Status status = entries_->Check(entries_->cudnnBackendDestroyDescriptor(descriptor_),
                                              "cudnnBackendDestroyDescriptor");
  if (!status.ok()) LOG(ERROR) << status;
}

absl::StatusOr<int64_t> CudnnDescriptor::GetInt64(cudnnBackendAttributeName_t name) const {
  int64_t value = 0;
  int64_t count = 0;
  RETURN_IF_ERROR(entries_->Check(
      entries_->cudnnBackendGetAttribute(descriptor_, name, CUDNN_TYPE_INT64, 1, &count, &value),
      "cudnnBackendGetAttribute", absl::StrCat(name)));
  return value;
}

absl::StatusOr<std::vector<CudnnDescriptor>> CudnnDescriptor::GetList(
    cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type) const {
  const std::string what = absl::StrCat(name);
  int64_t count = 0;
  RETURN_IF_ERROR(
      entries_->Check(entries_->cudnnBackendGetAttribute(
                          descriptor_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr),
                      "cudnnBackendGetAttribute", what));
  std::vector<CudnnDescriptor> list;
  std::vector<void*> descriptors;
  for (int64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(CudnnDescriptor empty, CreateEmpty(entries_, type));
    descriptors.push_back(empty.get());
    list.push_back(std::move(empty));
  }
  if (list.empty()) return list;
  // cuDNN fills the descriptors that it is given, perhaps fewer than it said: some it may drop.
  RETURN_IF_ERROR(entries_->Check(
      entries_->cudnnBackendGetAttribute(descriptor_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                         std::exchange(count, 0), &count, descriptors.data()),
      "cudnnBackendGetAttribute", what));
  while (static_cast<int64_t>(list.size()) > count) list.pop_back();
  return list;
}

}  // namespace alchemist
