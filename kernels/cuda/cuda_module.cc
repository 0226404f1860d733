#include "kernels/cuda/cuda_module.h"

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/cuda/cuda_driver.h"

namespace alchemist {

absl::StatusOr<CudaModule> CudaModule::Load(const CudaDevice* device, const unsigned char* image) {
  CUmodule loaded = nullptr;
  RETURN_IF_ERROR(device->driver().Check(device->driver().cuModuleLoadData(&loaded, image),
                                         "cuModuleLoadData"));
  CudaModule module;
  module.module_ = {loaded, Unload{device}};
  return module;
}

void CudaModule::Unload::operator()(CUmod_st* module) const {
  const absl::Status status =
      device->driver().Check(device->driver().cuModuleUnload(module), "cuModuleUnload");
  if (!status.ok()) LOG(ERROR) << status;
}

absl::StatusOr<CUfunc_st*> CudaModule::Kernel(const std::string& name) const {
  const CudaDriver& driver = module_.get_deleter().device->driver();
  CUfunction kernel = nullptr;
  const CUresult result = driver.cuModuleGetFunction(&kernel, module_.get(), name.c_str());
  if (result == CUDA_ERROR_NOT_FOUND) {
    return absl::NotFoundError(absl::StrCat("no kernel ", name, " in the image"));
  }
  RETURN_IF_ERROR(driver.Check(result, "cuModuleGetFunction", name));
  return kernel;
}

}  // namespace alchemist
