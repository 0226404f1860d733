// Device code of GenerationFence (generation_fence.h).

// Past the caches of this multiprocessor: another process writes these words.
__device__ unsigned long long LoadShared(const unsigned long long* word) {
  return *static_cast<const volatile unsigned long long*>(word);
}

extern "C" __global__ void generation_fence(const unsigned long long* generations,
                                            const unsigned int* pages,
                                            const unsigned long long* expected, unsigned int count,
                                            unsigned int* poison) {
  const unsigned int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  if (LoadShared(generations + pages[i]) != expected[i]) atomicOr(poison, 1U);
}
