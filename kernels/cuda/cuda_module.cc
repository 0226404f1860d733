#include "kernels/cuda/cuda_module.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/cuda/cuda_driver.h"

namespace alchemist {

absl::StatusOr<CudaModule> CudaModule::Load(const CudaDevice* device, const unsigned char* image) {
  const CudaDriver& driver = device->driver();
  CudaModule module;
  RETURN_IF_ERROR(
      driver.Check(driver.cuModuleLoadData(&module.module_, image), "cuModuleLoadData"));
  module.device_ = device;
  return module;
}

CudaModule::CudaModule(CudaModule&& other) noexcept
    : device_(other.device_), module_(std::exchange(other.module_, nullptr)) {}

CudaModule& CudaModule::operator=(CudaModule&& other) noexcept {
  CudaModule taken(std::move(other));
  std::swap(device_, taken.device_);
  std::swap(module_, taken.module_);
  return *this;
}

CudaModule::~CudaModule() {
  if (module_ == nullptr) return;
  const CudaDriver& driver = device_->driver();
  const absl::Status status = driver.Check(driver.cuModuleUnload(module_), "cuModuleUnload");
  if (!status.ok()) LOG(ERROR) << status;
}

absl::StatusOr<CUfunc_st*> CudaModule::Kernel(const std::string& name) const {
  const CudaDriver& driver = device_->driver();
  CUfunction kernel = nullptr;
  const CUresult result = driver.cuModuleGetFunction(&kernel, module_, name.c_str());
  if (result == CUDA_ERROR_NOT_FOUND) {
    return absl::NotFoundError(absl::StrCat("no kernel ", name, " in the image"));
  }
  RETURN_IF_ERROR(driver.Check(result, "cuModuleGetFunction", name));
  return kernel;
}

}  // namespace alchemist
