// Floating point operations of passes, as the benchmarks count them: two for each multiply and add
// of linears, LoRA, causal attention and head. Norms, rope, SwiGLU and softmax are not counted.
// What a pass leaves out by the last-layer rule, or because nothing below needs it, is not counted
// either. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_FLOPS_H_
#define ALCHEMIST_TOOLS_BENCH_FLOPS_H_

#include <cstdint>

#include "model/config.h"
#include "tools/bench/row.h"

namespace alchemist {

struct Flops {
  double linears = 0;
  double lora = 0;
  double attention = 0;
  double head = 0;

  double total() const { return linears + lora + attention + head; }
  Flops& operator+=(const Flops& other);
  BenchParams ToParams() const;  // In GFLOP.
};

// Adjacent rows of one sequence, whose last `head_rows` go through the whole last layer.
struct RowRange {
  int64_t first_position = 0;
  int64_t rows = 0;
  int64_t head_rows = 0;
};

// Of a forward through the layers, with LoRA of `rank` on all linears; no head.
Flops ForwardFlops(const ModelConfig& config, int64_t rank, const RowRange& range);
// Of its backward: gradients of inputs and LoRA's. Every layer is trained; the first one's input
// has no gradient.
Flops BackwardFlops(const ModelConfig& config, int64_t rank, const RowRange& range);
// Of logits for `rows` rows; with their gradient twice as much.
Flops HeadFlops(const ModelConfig& config, int64_t rows);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_FLOPS_H_
