#include "kernels/cuda/cudnn_handle.h"

#include <utility>

#include "base/logging.h"
#include "kernels/cuda/cudnn_entries.h"

namespace alchemist {

absl::StatusOr<std::unique_ptr<CudnnHandle>> CudnnHandle::Load(
    CudaDevice* device, const std::vector<std::string>& library_directories) {
  ASSIGN_OR_RETURN(std::unique_ptr<CudnnEntries> entries, CudnnEntries::Load(library_directories));
  std::unique_ptr<CudnnHandle> cudnn(new CudnnHandle(device, std::move(entries)));
  RETURN_IF_ERROR(cudnn->entries_->Check(cudnn->entries_->cudnnCreate(&cudnn->handle_),
                                         "cudnnCreate", device->info().uuid));
  return cudnn;
}

CudnnHandle::CudnnHandle(CudaDevice* device, std::unique_ptr<CudnnEntries> entries)
    : device_(device), entries_(std::move(entries)) {}

CudnnHandle::~CudnnHandle() {
  if (handle_ == nullptr) return;
  const absl::Status status = entries_->Check(entries_->cudnnDestroy(handle_), "cudnnDestroy");
  if (!status.ok()) LOG(ERROR) << status;
}

std::string CudnnHandle::version() const { return entries_->Version(); }

}  // namespace alchemist
