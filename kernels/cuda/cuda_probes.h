// CudaProbes: small kernels that find out what a device does: patterns that prove that two
// processes see the same bytes, kernels of a known duration, loads like a decode step's and a
// training step's. One thread at a time, with the device bound. Everything is queued in the stream
// that is given, except where a value is returned: that waits.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_PROBES_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_PROBES_H_

#include <cstdint>

#include "base/status.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_module.h"
#include "kernels/cuda/cuda_stream.h"

namespace alchemist {

class CudaProbes {
 public:
  static absl::StatusOr<CudaProbes> Load(CudaDevice* device);

  // `bytes` (a multiple of 4) from `address`: words that are a hash of `seed` and their index.
  absl::Status FillPattern(uint64_t address, int64_t bytes, uint32_t seed, CudaStream& stream);
  // `count` (even) bf16 of random sign and mantissa, 1 to 2 in size: operands of matrix products,
  // which take less power, and so less time, over zeros.
  absl::Status FillBf16(uint64_t address, int64_t count, uint32_t seed, CudaStream& stream);
  // How many of FillPattern's words are others.
  absl::StatusOr<int64_t> CountMismatches(uint64_t address, int64_t bytes, uint32_t seed,
                                          CudaStream& stream);
  // One thread that is at work for `us`, and counts up the 8-byte word at `heartbeat` (0: none).
  absl::Status Spin(int64_t us, uint64_t heartbeat, CudaStream& stream);
  // Reads `bytes` (a multiple of 16) once: bound by bandwidth, as decode is.
  absl::Status Read(uint64_t address, int64_t bytes, CudaStream& stream);
  // c [rows, outputs] f32 = a [rows, inputs] * b [outputs, inputs]^T, both bf16: bound by
  // arithmetic, as training is. rows and outputs are multiples of 64, inputs of 16.
  absl::Status Multiply(uint64_t a, uint64_t b, uint64_t c, int rows, int outputs, int inputs,
                        CudaStream& stream);
  // A store to an address that is not mapped is the fault that a broken kernel makes.
  absl::Status StoreWord(uint64_t address, uint32_t value, CudaStream& stream);
  absl::Status Nothing(CudaStream& stream);

 private:
  explicit CudaProbes(const CudaDevice* device) : device_(device) {}
  // Blocks of 256 threads, enough for `items` but no more than fill the device.
  CudaGrid GridOf(int64_t items) const;

  const CudaDevice* device_;
  CudaModule module_;
  CudaModule multiply_module_;
  Buffer mismatches_;  // 8 bytes.
  CUfunc_st* fill_ = nullptr;
  CUfunc_st* fill_bf16_ = nullptr;
  CUfunc_st* count_mismatches_ = nullptr;
  CUfunc_st* spin_ = nullptr;
  CUfunc_st* read_ = nullptr;
  CUfunc_st* store_word_ = nullptr;
  CUfunc_st* empty_ = nullptr;
  CUfunc_st* multiply_ = nullptr;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_PROBES_H_
