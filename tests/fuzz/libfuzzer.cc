// libFuzzer's entry to the target it is linked with.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  alchemist::TakesInput({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
