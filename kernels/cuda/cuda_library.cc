#include "kernels/cuda/cuda_library.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"

namespace alchemist {

absl::StatusOr<CudaLibrary> OpenCudaLibrary(const std::string& soname,
                                            const std::vector<std::string>& directories) {
  std::vector<std::string> paths;
  for (const std::string& directory : directories) {
    paths.push_back(absl::StrCat(directory, "/", soname));
  }
  paths.push_back(soname);
  paths.push_back(absl::StrCat("/usr/local/cuda/lib64/", soname));
  paths.push_back(absl::StrCat("/usr/local/cuda/lib/", soname));
  std::string refusals;
  for (const std::string& path : paths) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return CudaLibrary{handle, path};
    absl::StrAppend(&refusals, refusals.empty() ? "" : "; ", path, " (", dlerror(), ")");
  }
  return absl::NotFoundError(absl::StrCat("no ", soname, "; tried ", refusals));
}

}  // namespace alchemist
