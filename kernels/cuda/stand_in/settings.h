// What the stand-in's device is, and when it fails: read from the environment at each call, so that
// a test can change it. Any thread, while none changes the environment. The variables, with what
// holds where there is none:
//   ALCHEMIST_STAND_IN_DEVICES       0: there is none (1).
//   ALCHEMIST_STAND_IN_VERSION       Of CUDA, as cuDriverGetVersion says it (13000).
//   ALCHEMIST_STAND_IN_MEMORY_BYTES  Of the device (1 GiB).
//   ALCHEMIST_STAND_IN_MACHINE       Processes that have the same text here share the device.
//   CUDA_MPS_PIPE_DIRECTORY          An MPS daemon listens there if it has a file "control".
//   ALCHEMIST_STAND_IN_FAIL          <entry>:<n>:<result>: the n-th call of that entry, from 1 and
//                                    since this was set, does nothing and returns that result.
#ifndef ALCHEMIST_KERNELS_CUDA_STAND_IN_SETTINGS_H_
#define ALCHEMIST_KERNELS_CUDA_STAND_IN_SETTINGS_H_

#include <cstdint>
#include <string>

namespace alchemist::stand_in {

inline constexpr char kDeviceName[] = "Alchemist stand-in";
inline constexpr char kDeviceUuid[17] = "\x41\x4C\x43\x48\x45\x4D\x49\x53\x54\0\0\0\0\0\0\x01";
inline constexpr char kDeviceUuidText[] = "GPU-414c4348-454d-4953-5400-000000000001";

int DeviceCount();
int DriverVersion();
uint64_t MemoryBytes();
std::string MachineName();
bool IsUnderMps();

// The result that the environment wants of this call of `entry`, else 0.
int InjectedFailure(const char* entry);

}  // namespace alchemist::stand_in

#endif  // ALCHEMIST_KERNELS_CUDA_STAND_IN_SETTINGS_H_
