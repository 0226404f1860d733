// The GPU's clock, the same on all its multiprocessors. (The stand-in driver has one of its own.)
#ifndef ALCHEMIST_KERNELS_CUDA_DEVICE_CLOCK_CUH_
#define ALCHEMIST_KERNELS_CUDA_DEVICE_CLOCK_CUH_

__device__ inline unsigned long long NanosecondsNow() {
  unsigned long long now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}

#endif  // ALCHEMIST_KERNELS_CUDA_DEVICE_CLOCK_CUH_
