#include "tools/quickstart/screen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

Progress InPhase(const std::string& phase) {
  Progress progress;
  progress.phase = phase;
  return progress;
}

int64_t LinesOf(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST(ScreenTest, ElsewhereALineComesPerPhaseAndNowAndThen) {
  std::ostringstream out;
  Screen screen(&out, /*is_terminal=*/false);
  screen.Show(InPhase("first"), 0);
  screen.Show(InPhase("first"), 1 * kSecondUs);
  EXPECT_EQ(out.str(), FormatLine(InPhase("first")) + "\n");
  screen.Show(InPhase("second"), 2 * kSecondUs);
  EXPECT_EQ(LinesOf(out.str()), 2);
  screen.Show(InPhase("second"), 6 * kSecondUs);
  EXPECT_EQ(LinesOf(out.str()), 2);
  screen.Show(InPhase("second"), 7 * kSecondUs);
  EXPECT_EQ(LinesOf(out.str()), 3);
  EXPECT_EQ(out.str().find('\x1b'), std::string::npos);
}

TEST(ScreenTest, OnATerminalTheTableIsDrawnOverItself) {
  std::ostringstream out;
  Screen screen(&out, /*is_terminal=*/true);
  screen.Show(InPhase("first"), 0);
  const std::string first = out.str();
  EXPECT_EQ(first.find('F'), std::string::npos) << "nothing is above it yet";
  const std::string up = absl::StrCat("\x1b[", LinesOf(first), "F");
  screen.Show(InPhase("first"), kSecondUs);
  EXPECT_EQ(out.str(), first + up + first);
  screen.Finish(InPhase("first"));
  screen.Show(InPhase("first"), 2 * kSecondUs);
  EXPECT_EQ(out.str(), first + up + first + up + first + first) << "below what was finished";
}

}  // namespace
}  // namespace alchemist
