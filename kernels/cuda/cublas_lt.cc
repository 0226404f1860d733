#include "kernels/cuda/cublas_lt.h"

#include <utility>

#include "base/logging.h"
#include "kernels/cuda/cublas_lt_entries.h"

namespace alchemist {

absl::StatusOr<std::unique_ptr<CublasLt>> CublasLt::Load(
    CudaDevice* device, const std::vector<std::string>& library_directories) {
  ASSIGN_OR_RETURN(std::unique_ptr<CublasLtEntries> entries,
                   CublasLtEntries::Load(library_directories));
  std::unique_ptr<CublasLt> cublas(new CublasLt(device, std::move(entries)));
  RETURN_IF_ERROR(cublas->entries_->Check(cublas->entries_->cublasLtCreate(&cublas->handle_),
                                          "cublasLtCreate", device->info().uuid));
  return cublas;
}

CublasLt::CublasLt(CudaDevice* device, std::unique_ptr<CublasLtEntries> entries)
    : device_(device), entries_(std::move(entries)) {}

CublasLt::~CublasLt() {
  if (handle_ == nullptr) return;
  const absl::Status status =
      entries_->Check(entries_->cublasLtDestroy(handle_), "cublasLtDestroy");
  if (!status.ok()) LOG(ERROR) << status;
}

std::string CublasLt::version() const { return entries_->Version(); }

}  // namespace alchemist
