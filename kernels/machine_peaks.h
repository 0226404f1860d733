// What this machine can do at best, to judge code against: the rate of oneDNN over given products,
// and the rates at which memory is read and written, with all threads of a pool. Measured anew with
// each call. One thread.
#ifndef ALCHEMIST_KERNELS_MACHINE_PEAKS_H_
#define ALCHEMIST_KERNELS_MACHINE_PEAKS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/matmul.h"
#include "kernels/tensor_view.h"
#include "kernels/worker_pool.h"

namespace alchemist {

// Products x W^T of `rows` rows as oneDNN does them when nothing is asked of it: whole matrices,
// each thread an equal share of the rows.
class MatmulPeak {
 public:
  // bf16 where OnednnPrefersBf16, else f32.
  static DType FastestType();

  // `pool` must outlive this. REQUIRES: rows >= pool->threads(); oneDNN has products of `dtype`.
  MatmulPeak(std::vector<MatmulShape> shapes, int64_t rows, DType dtype, WorkerPool* pool);

  double FlopsPerSecond(int64_t repetitions);  // Of all shapes, each so many times.
  DType dtype() const { return dtype_; }

 private:
  void Multiply(int64_t shape, int64_t thread);

  const std::vector<MatmulShape> shapes_;
  const int64_t rows_;
  WorkerPool* const pool_;
  const DType dtype_;
  std::vector<std::byte> x_;                     // [rows, the widest in]
  std::vector<std::vector<std::byte>> weights_;  // Per shape: [out, in]
  std::vector<float> y_;                         // [rows, the widest out]
};

class ReadPeak {
 public:
  explicit ReadPeak(WorkerPool* pool);  // `pool` must outlive this.

  double BytesPerSecond(int64_t repetitions);  // Of reading all of the memory so many times.
  int64_t bytes() const { return static_cast<int64_t>(words_.size() * sizeof(uint64_t)); }

 private:
  WorkerPool* const pool_;
  const std::vector<uint64_t> words_;
  std::vector<uint64_t> sums_;  // Of each thread, so that the reads are not left out.
};

// By ordinary stores, as whatever is recorded is written: the machine reads a line before it is
// changed.
class WritePeak {
 public:
  explicit WritePeak(WorkerPool* pool);  // `pool` must outlive this.

  double BytesPerSecond(int64_t repetitions);  // Of writing all of the memory so many times.
  int64_t bytes() const { return static_cast<int64_t>(words_.size() * sizeof(uint64_t)); }
  // Each holds how often it was written.
  const std::vector<uint64_t>& words() const { return words_; }

 private:
  WorkerPool* const pool_;
  std::vector<uint64_t> words_;
  uint64_t writes_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_MACHINE_PEAKS_H_
