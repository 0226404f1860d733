// The device code of kernels/cuda for a CPU's compiler. What nvcc gives to device code is defined
// here, under CUDA's names; thus each kernel is a plain function, the work of one thread of one
// block, whose place kernels.cc sets before each call. Included there alone.
#ifndef ALCHEMIST_KERNELS_CUDA_STAND_IN_DEVICE_CODE_H_
#define ALCHEMIST_KERNELS_CUDA_STAND_IN_DEVICE_CODE_H_

#include <time.h>

#include <atomic>

#define __global__
#define __device__
#define __launch_bounds__(threads)

struct uint3 {
  unsigned int x, y, z;
};

struct uint4 {
  unsigned int x, y, z, w;
};

// Of the stream's thread that runs the kernel.
inline thread_local constinit uint3 gridDim = {};
inline thread_local constinit uint3 blockDim = {};
inline thread_local constinit uint3 blockIdx = {};
inline thread_local constinit uint3 threadIdx = {};

// Atomic to the other streams and the other processes too.
inline unsigned long long atomicAdd(unsigned long long* word, unsigned long long value) {
  return std::atomic_ref(*word).fetch_add(value);
}

inline unsigned int atomicOr(unsigned int* word, unsigned int value) {
  return std::atomic_ref(*word).fetch_or(value);
}

// In place of device_clock.cuh, which is in the GPU's own language.
#define ALCHEMIST_KERNELS_CUDA_DEVICE_CLOCK_CUH_

inline unsigned long long NanosecondsNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000ULL + now.tv_nsec;
}

// After all of the above.
#include "kernels/cuda/generation_fence.cu"
#include "kernels/cuda/probe_kernels.cu"

#endif  // ALCHEMIST_KERNELS_CUDA_STAND_IN_DEVICE_CODE_H_
