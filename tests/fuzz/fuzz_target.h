// What every fuzz target defines: one parser of bytes that nobody vouches for. Two mains call it:
// the corpus's replay (an ordinary test) and libFuzzer (--config=fuzz). One thread.
#ifndef ALCHEMIST_TESTS_FUZZ_FUZZ_TARGET_H_
#define ALCHEMIST_TESTS_FUZZ_FUZZ_TARGET_H_

#include "absl/strings/string_view.h"

namespace alchemist {

// Parses `input` as a daemon would, and uses what came of it. Whether the parser took it; whatever
// the bytes are, it returns, and touches no memory but its own.
bool TakesInput(absl::string_view input);

}  // namespace alchemist

#endif  // ALCHEMIST_TESTS_FUZZ_FUZZ_TARGET_H_
