// Model directories for tests over processes: tiny random weights of each family with a byte-level
// tokenizer, so that every text has tokens. Pure functions; any thread.
#ifndef ALCHEMIST_TESTS_TEST_MODEL_H_
#define ALCHEMIST_TESTS_TEST_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/tensor_view.h"
#include "model/config.h"

namespace alchemist {

// Tokens 0 (end of text) and 1 to 256 (the bytes); the model's vocabulary is a little larger.
inline constexpr int64_t kTestVocab = 264;
inline constexpr int64_t kTestContext = 512;

absl::Status WriteTestModel(ModelFamily family, const std::string& directory,
                            DType dtype = DType::kF32, int64_t context = kTestContext);

// `count` tokens of bytes, another sequence for each seed.
std::vector<int32_t> TestPrompt(int64_t count, uint64_t seed);

}  // namespace alchemist

#endif  // ALCHEMIST_TESTS_TEST_MODEL_H_
