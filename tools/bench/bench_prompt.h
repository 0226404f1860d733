// Prompts of benchmarks: what the tokens are does not matter, but that they are the same on both
// sides. Pure function; any thread.
#ifndef ALCHEMIST_TOOLS_BENCH_BENCH_PROMPT_H_
#define ALCHEMIST_TOOLS_BENCH_BENCH_PROMPT_H_

#include <cstdint>
#include <vector>

#include "base/random.h"

namespace alchemist {

// `count` tokens drawn by `seed`.
inline std::vector<int32_t> BenchPrompt(int64_t count, int64_t vocab, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random.Below(vocab));
  return tokens;
}

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_BENCH_PROMPT_H_
