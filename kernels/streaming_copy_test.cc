#include "kernels/streaming_copy.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

// Every length and offset around a line of 64 bytes; what lies beside the target stays.
TEST(StreamingCopyTest, CopiesThatAndNothingElse) {
  constexpr int64_t kBytes = 512;
  std::vector<uint8_t> from(kBytes);
  for (int64_t i = 0; i < kBytes; ++i) from[i] = static_cast<uint8_t>(i * 7 + 1);
  for (int64_t offset = 0; offset < 66; ++offset) {
    for (int64_t bytes : {0, 1, 15, 16, 63, 64, 65, 127, 128, 200, 384}) {
      std::vector<uint8_t> to(kBytes, 0xee), wanted(kBytes, 0xee);
      StreamingCopy(from.data() + 3, bytes, to.data() + offset);
      FinishStreamingCopies();
      for (int64_t i = 0; i < bytes; ++i) wanted[offset + i] = from[3 + i];
      ASSERT_EQ(to, wanted) << bytes << " bytes to offset " << offset;
    }
  }
}

}  // namespace
}  // namespace alchemist
