// c = a * b^T on tensor cores: the load that CudaProbes::Multiply puts on a device. Each of a
// block's four warps makes 32 x 32 of the block's 64 x 64 outputs, straight from global memory.
#include <cuda_bf16.h>
#include <mma.h>

namespace {

constexpr int kTile = 16;         // Of one matrix instruction.
constexpr int kTilesOfWarp = 2;   // In both directions.
constexpr int kWarpsOfBlock = 2;  // Likewise.

}  // namespace

// a [rows, inputs] and b [outputs, inputs] in bf16, c [rows, outputs] in f32; rows and outputs are
// multiples of 64, inputs of 16.
extern "C" __global__ void __launch_bounds__(128)
    probe_multiply(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c, int outputs,
                   int inputs) {
  using namespace nvcuda;
  using RowTile =
      wmma::fragment<wmma::matrix_a, kTile, kTile, kTile, __nv_bfloat16, wmma::row_major>;
  using ColumnTile =
      wmma::fragment<wmma::matrix_b, kTile, kTile, kTile, __nv_bfloat16, wmma::col_major>;
  const int warp = threadIdx.x / 32;
  constexpr int kWarpSide = kTile * kTilesOfWarp;
  const int row = (blockIdx.y * kWarpsOfBlock + warp / kWarpsOfBlock) * kWarpSide;
  const int column = (blockIdx.x * kWarpsOfBlock + warp % kWarpsOfBlock) * kWarpSide;
  wmma::fragment<wmma::accumulator, kTile, kTile, kTile, float> sums[kTilesOfWarp][kTilesOfWarp];
  for (auto& line : sums) {
    for (auto& sum : line) wmma::fill_fragment(sum, 0.0F);
  }
  for (int k = 0; k < inputs; k += kTile) {
    RowTile left[kTilesOfWarp];
    ColumnTile right[kTilesOfWarp];
    for (int i = 0; i < kTilesOfWarp; ++i) {
      wmma::load_matrix_sync(left[i], a + static_cast<long long>(row + i * kTile) * inputs + k,
                             inputs);
      wmma::load_matrix_sync(right[i], b + static_cast<long long>(column + i * kTile) * inputs + k,
                             inputs);
    }
    for (int i = 0; i < kTilesOfWarp; ++i) {
      for (int j = 0; j < kTilesOfWarp; ++j) {
        wmma::mma_sync(sums[i][j], left[i], right[j], sums[i][j]);
      }
    }
  }
  for (int i = 0; i < kTilesOfWarp; ++i) {
    for (int j = 0; j < kTilesOfWarp; ++j) {
      wmma::store_matrix_sync(
          c + static_cast<long long>(row + i * kTile) * outputs + column + j * kTile, sums[i][j],
          outputs, wmma::mem_row_major);
    }
  }
}
