// Device code of CudaProbes (cuda_probes.h says what each is for). Plain enough that the stand-in
// driver compiles it for the CPU, a thread at a time: no shared memory, no barriers.
#include "kernels/cuda/device_clock.cuh"

namespace {

__device__ unsigned long long ThreadIndex() {
  return static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ unsigned long long ThreadCount() {
  return static_cast<unsigned long long>(gridDim.x) * blockDim.x;
}

// A hash of both, so that a shifted or foreign pattern differs nearly everywhere.
__device__ unsigned int PatternWord(unsigned int seed, unsigned long long index) {
  unsigned long long mixed = (index + 1) * 0x9E3779B97F4A7C15ULL + seed;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
  return static_cast<unsigned int>(mixed >> 32);
}

}  // namespace

extern "C" __global__ void probe_fill(unsigned int* words, unsigned long long count,
                                      unsigned int seed) {
  for (unsigned long long i = ThreadIndex(); i < count; i += ThreadCount()) {
    words[i] = PatternWord(seed, i);
  }
}

// Two bf16 a word, of random sign and mantissa, from 1 to 2.
extern "C" __global__ void probe_fill_bf16(unsigned int* words, unsigned long long count,
                                           unsigned int seed) {
  for (unsigned long long i = ThreadIndex(); i < count; i += ThreadCount()) {
    words[i] = (PatternWord(seed, i) & 0x807F807FU) | 0x3F803F80U;
  }
}

extern "C" __global__ void probe_count_mismatches(const unsigned int* words,
                                                  unsigned long long count, unsigned int seed,
                                                  unsigned long long* mismatches) {
  unsigned long long found = 0;
  for (unsigned long long i = ThreadIndex(); i < count; i += ThreadCount()) {
    if (words[i] != PatternWord(seed, i)) ++found;
  }
  if (found != 0) atomicAdd(mismatches, found);
}

// One thread. `heartbeat` may be null; volatile, so that each beat goes to memory.
extern "C" __global__ void probe_spin(unsigned long long nanoseconds,
                                      volatile unsigned long long* heartbeat) {
  const unsigned long long start = NanosecondsNow();
  while (NanosecondsNow() - start < nanoseconds) {
    if (heartbeat != nullptr) *heartbeat = *heartbeat + 1;
  }
}

// The sum is used where it cannot be, so that the reads stay.
extern "C" __global__ void probe_read(const uint4* blocks, unsigned long long count,
                                      unsigned int* never_written) {
  unsigned int sum = 0;
  for (unsigned long long i = ThreadIndex(); i < count; i += ThreadCount()) {
    const uint4 block = blocks[i];
    sum |= block.x | block.y | block.z | block.w;
  }
  if (count == 0 && sum != 0) *never_written = sum;
}

extern "C" __global__ void probe_store_word(unsigned int* word, unsigned int value) {
  *word = value;
}

extern "C" __global__ void probe_empty() {}
