#include "kernels/cuda/cuda_probes.h"

#include <algorithm>
#include <array>

#include "base/logging.h"

extern "C" const unsigned char probe_kernels_image[];
extern "C" const unsigned char probe_multiply_image[];

namespace alchemist {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerMultiprocessor = 8;  // 2,048 threads: as many as one holds.
constexpr int kMultiplyTile = 64;            // Outputs of a block, in both directions.
constexpr int kMultiplyThreads = 128;

// What Launch takes: the addresses of the arguments, which outlive the call.
template <typename... Arguments>
absl::Status LaunchWith(CUfunc_st* kernel, const CudaGrid& grid, CudaStream& stream,
                        Arguments... arguments) {
  std::array<void*, sizeof...(arguments)> addresses = {&arguments...};
  return stream.Launch(kernel, grid, addresses);
}

}  // namespace

absl::StatusOr<CudaProbes> CudaProbes::Load(CudaDevice* device) {
  CudaProbes probes(device);
  ASSIGN_OR_RETURN(probes.module_, CudaModule::Load(device, probe_kernels_image));
  ASSIGN_OR_RETURN(probes.multiply_module_, CudaModule::Load(device, probe_multiply_image));
  ASSIGN_OR_RETURN(probes.fill_, probes.module_.Kernel("probe_fill"));
  ASSIGN_OR_RETURN(probes.fill_bf16_, probes.module_.Kernel("probe_fill_bf16"));
  ASSIGN_OR_RETURN(probes.count_mismatches_, probes.module_.Kernel("probe_count_mismatches"));
  ASSIGN_OR_RETURN(probes.spin_, probes.module_.Kernel("probe_spin"));
  ASSIGN_OR_RETURN(probes.read_, probes.module_.Kernel("probe_read"));
  ASSIGN_OR_RETURN(probes.store_word_, probes.module_.Kernel("probe_store_word"));
  ASSIGN_OR_RETURN(probes.empty_, probes.module_.Kernel("probe_empty"));
  ASSIGN_OR_RETURN(probes.multiply_, probes.multiply_module_.Kernel("probe_multiply"));
  ASSIGN_OR_RETURN(probes.mismatches_, device->Allocate(sizeof(uint64_t)));
  return probes;
}

CudaGrid CudaProbes::GridOf(int64_t items) const {
  const int64_t blocks_max = int64_t{device_->info().multiprocessors} * kBlocksPerMultiprocessor;
  const int64_t blocks = std::clamp<int64_t>((items + kThreads - 1) / kThreads, 1, blocks_max);
  return {static_cast<unsigned int>(blocks), 1, kThreads};
}

absl::Status CudaProbes::FillPattern(uint64_t address, int64_t bytes, uint32_t seed,
                                     CudaStream& stream) {
  const uint64_t words = bytes / sizeof(uint32_t);
  return LaunchWith(fill_, GridOf(words), stream, address, words, seed);
}

absl::Status CudaProbes::FillBf16(uint64_t address, int64_t count, uint32_t seed,
                                  CudaStream& stream) {
  const uint64_t words = count / 2;
  return LaunchWith(fill_bf16_, GridOf(words), stream, address, words, seed);
}

absl::StatusOr<int64_t> CudaProbes::CountMismatches(uint64_t address, int64_t bytes, uint32_t seed,
                                                    CudaStream& stream) {
  const uint64_t counter = reinterpret_cast<uint64_t>(mismatches_.data());
  const uint64_t words = bytes / sizeof(uint32_t);
  RETURN_IF_ERROR(stream.Fill(counter, 0, sizeof(uint64_t)));
  RETURN_IF_ERROR(
      LaunchWith(count_mismatches_, GridOf(words), stream, address, words, seed, counter));
  uint64_t mismatches = 0;
  RETURN_IF_ERROR(stream.CopyToHost(&mismatches, counter, sizeof(mismatches)));
  RETURN_IF_ERROR(stream.Synchronize());
  return static_cast<int64_t>(mismatches);
}

absl::Status CudaProbes::Spin(int64_t us, uint64_t heartbeat, CudaStream& stream) {
  const uint64_t nanoseconds = static_cast<uint64_t>(us) * 1000;
  return LaunchWith(spin_, CudaGrid{}, stream, nanoseconds, heartbeat);
}

absl::Status CudaProbes::Read(uint64_t address, int64_t bytes, CudaStream& stream) {
  const uint64_t blocks = bytes / 16;
  const uint64_t never_written = reinterpret_cast<uint64_t>(mismatches_.data());
  return LaunchWith(read_, GridOf(blocks), stream, address, blocks, never_written);
}

absl::Status CudaProbes::Multiply(uint64_t a, uint64_t b, uint64_t c, int rows, int outputs,
                                  int inputs, CudaStream& stream) {
  CHECK(rows % kMultiplyTile == 0 && outputs % kMultiplyTile == 0 && inputs % 16 == 0)
      << rows << " x " << outputs << " x " << inputs;
  const CudaGrid grid = {static_cast<unsigned int>(outputs / kMultiplyTile),
                         static_cast<unsigned int>(rows / kMultiplyTile), kMultiplyThreads};
  return LaunchWith(multiply_, grid, stream, a, b, c, outputs, inputs);
}

absl::Status CudaProbes::StoreWord(uint64_t address, uint32_t value, CudaStream& stream) {
  return LaunchWith(store_word_, CudaGrid{}, stream, address, value);
}

absl::Status CudaProbes::Nothing(CudaStream& stream) {
  return stream.Launch(empty_, CudaGrid{}, {});
}

}  // namespace alchemist
