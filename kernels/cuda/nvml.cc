#include "kernels/cuda/nvml.h"

#include <dlfcn.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

constexpr char kLibrary[] = "libnvidia-ml.so.1";

// The library's binary interface: its header is no part of the CUDA Toolkit.
using Result = int;
constexpr Result kSuccess = 0;
constexpr Result kInsufficientSize = 7;
constexpr unsigned long long kNotAvailable = ~0ULL;
constexpr int kUsersGuess = 4;  // A server, a trainer, somebody who looks on.

struct ProcessInfo {
  unsigned int pid;
  unsigned long long bytes_used;
  unsigned int gpu_instance;
  unsigned int compute_instance;
};

}  // namespace

struct Nvml::Entries {
  Result (*init)() = nullptr;
  Result (*shutdown)() = nullptr;
  const char* (*error_string)(Result) = nullptr;
  Result (*driver_version)(char*, unsigned int) = nullptr;
  Result (*handle_by_uuid)(const char*, void**) = nullptr;
  Result (*compute_processes)(void*, unsigned int*, ProcessInfo*) = nullptr;

  absl::Status LookUp(void* library);
  absl::Status Check(Result result, absl::string_view call) const {
    if (result == kSuccess) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(call, ": ", error_string(result)));
  }
};

absl::Status Nvml::Entries::LookUp(void* library) {
  absl::Status status;
  const auto look_up = [&](auto& entry, const char* symbol) {
    entry = reinterpret_cast<std::decay_t<decltype(entry)>>(dlsym(library, symbol));
    if (entry == nullptr) status = absl::FailedPreconditionError(absl::StrCat("no ", symbol));
  };
  look_up(init, "nvmlInit_v2");
  look_up(shutdown, "nvmlShutdown");
  look_up(error_string, "nvmlErrorString");
  look_up(driver_version, "nvmlSystemGetDriverVersion");
  look_up(handle_by_uuid, "nvmlDeviceGetHandleByUUID");
  look_up(compute_processes, "nvmlDeviceGetComputeRunningProcesses_v3");
  return status;
}

absl::StatusOr<std::unique_ptr<Nvml>> Nvml::Load(const std::string& library) {
  const std::string name = library.empty() ? kLibrary : library;
  void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return absl::NotFoundError(absl::StrCat("no NVML: ", dlerror()));
  auto entries = std::make_unique<Entries>();
  RETURN_IF_ERROR(entries->LookUp(handle));
  RETURN_IF_ERROR(entries->Check(entries->init(), "nvmlInit"));
  return std::unique_ptr<Nvml>(new Nvml(std::move(entries)));
}

Nvml::Nvml(std::unique_ptr<Entries> entries) : entries_(std::move(entries)) {}

Nvml::~Nvml() { entries_->shutdown(); }

absl::StatusOr<std::string> Nvml::DriverVersion() const {
  char version[96] = {};
  RETURN_IF_ERROR(entries_->Check(entries_->driver_version(version, sizeof(version) - 1),
                                  "nvmlSystemGetDriverVersion"));
  return std::string(version);
}

absl::StatusOr<void*> Nvml::DeviceOf(const std::string& uuid) const {
  void* device = nullptr;
  RETURN_IF_ERROR(entries_->Check(entries_->handle_by_uuid(uuid.c_str(), &device),
                                  absl::StrCat("nvmlDeviceGetHandleByUUID ", uuid)));
  return device;
}

absl::StatusOr<std::vector<Nvml::User>> Nvml::Users(const std::string& uuid) const {
  ASSIGN_OR_RETURN(void* const device, DeviceOf(uuid));
  std::vector<ProcessInfo> infos(kUsersGuess);
  unsigned int count = infos.size();
  Result result = entries_->compute_processes(device, &count, infos.data());
  if (result == kInsufficientSize) {
    infos.resize(2 * count);  // More may come in between.
    count = infos.size();
    result = entries_->compute_processes(device, &count, infos.data());
  }
  RETURN_IF_ERROR(entries_->Check(result, "nvmlDeviceGetComputeRunningProcesses"));
  std::vector<User> users(count);
  for (unsigned int i = 0; i < count; ++i) {
    users[i].pid = static_cast<pid_t>(infos[i].pid);
    if (infos[i].bytes_used != kNotAvailable) users[i].bytes = infos[i].bytes_used;
  }
  return users;
}

}  // namespace alchemist
