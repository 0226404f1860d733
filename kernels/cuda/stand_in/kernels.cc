#include "kernels/cuda/stand_in/kernels.h"

#include <bit>
#include <cstdint>
#include <tuple>
#include <utility>

#include "kernels/cuda/stand_in/device_code.h"

// In place of probe_multiply.cu, which is for tensor cores: each of a block's 128 threads makes
// half a row of its 64 x 64 outputs.
extern "C" void probe_multiply(const uint16_t* a, const uint16_t* b, float* c, int outputs,
                               int inputs) {
  const auto value = [](uint16_t bf16) { return std::bit_cast<float>(uint32_t{bf16} << 16); };
  const int64_t row = blockIdx.y * 64 + threadIdx.x / 2;
  const int64_t begin = blockIdx.x * 64 + threadIdx.x % 2 * 32;
  for (int64_t column = begin; column < begin + 32; ++column) {
    float sum = 0;
    for (int k = 0; k < inputs; ++k) {
      sum += value(a[row * inputs + k]) * value(b[column * inputs + k]);
    }
    c[row * outputs + column] = sum;
  }
}

namespace alchemist::stand_in {
namespace {

template <typename... Parameters, size_t... kIndex>
Work BindEach(void (*kernel)(Parameters...), [[maybe_unused]] void** arguments,
              std::index_sequence<kIndex...>) {
  const std::tuple<Parameters...> values = {*static_cast<Parameters*>(arguments[kIndex])...};
  return [kernel, values] { std::apply(kernel, values); };
}

template <typename... Parameters>
Work Bind(void (*kernel)(Parameters...), void** arguments) {
  return BindEach(kernel, arguments, std::index_sequence_for<Parameters...>());
}

template <auto kKernel>
constexpr Kernel Named(const char* name) {
  return {name, [](void** arguments) { return Bind(kKernel, arguments); }};
}

constexpr Kernel kKernels[] = {
    Named<probe_fill>("probe_fill"),
    Named<probe_fill_bf16>("probe_fill_bf16"),
    Named<probe_count_mismatches>("probe_count_mismatches"),
    Named<probe_spin>("probe_spin"),
    Named<probe_read>("probe_read"),
    Named<probe_store_word>("probe_store_word"),
    Named<probe_empty>("probe_empty"),
    Named<probe_multiply>("probe_multiply"),
    Named<generation_fence>("generation_fence"),
};

template <typename Visit>
void ForEach(const Extent& extent, const Visit& visit) {
  for (unsigned int z = 0; z < extent.z; ++z) {
    for (unsigned int y = 0; y < extent.y; ++y) {
      for (unsigned int x = 0; x < extent.x; ++x) visit(uint3{x, y, z});
    }
  }
}

}  // namespace

const Kernel* FindKernel(absl::string_view name) {
  for (const Kernel& kernel : kKernels) {
    if (kernel.name == name) return &kernel;
  }
  return nullptr;
}

void RunGrid(const Work& thread, const Extent& grid, const Extent& block) {
  gridDim = {grid.x, grid.y, grid.z};
  blockDim = {block.x, block.y, block.z};
  ForEach(grid, [&](uint3 at_block) {
    blockIdx = at_block;
    ForEach(block, [&](uint3 at_thread) {
      threadIdx = at_thread;
      thread();
    });
  });
}

}  // namespace alchemist::stand_in
