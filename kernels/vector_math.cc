#include "kernels/vector_math.h"

namespace alchemist {

ALCHEMIST_VECTOR_CLONES
void ExpInPlace(float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = Exp(x[i]);
}

}  // namespace alchemist
