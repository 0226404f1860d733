// The linears of one layer, as matrix products. Pure function; any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_LAYER_SHAPES_H_
#define ALCHEMIST_TOOLS_BENCH_LAYER_SHAPES_H_

#include <vector>

#include "kernels/matmul.h"
#include "model/config.h"
#include "model/linear.h"

namespace alchemist {

inline std::vector<MatmulShape> LayerShapes(const ModelConfig& config) {
  std::vector<MatmulShape> shapes;
  for (const Linear linear : kLinears) shapes.push_back(LinearShape(config, linear));
  return shapes;
}

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_LAYER_SHAPES_H_
