#include "tools/quickstart/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Progress Learning() {
  Progress progress;
  progress.run = "seed 2, run 1 of 3";
  progress.phase = "learning";
  progress.seconds = 62.4;
  progress.accuracy = "corrected facts 0.010";
  progress.facts = 100;
  progress.facts_begun = 60;
  progress.facts_seen_right = 40;
  progress.feedback_sent = 180;
  progress.feedback_served = 90;
  progress.revision = 17;
  progress.steps = 31;
  progress.tokens_reused = 12345;
  progress.tokens_recomputed = 678;
  progress.ttft_ms = 4.25;
  return progress;
}

TEST(ProgressTest, TheTableNamesEveryFigure) {
  const std::string table = FormatTable(Learning());
  for (const char* part : {"seed 2, run 1 of 3", "1:02", "learning", "corrected facts 0.010",
                           "60 of 100 facts", "40 of 100", "90 of 180 feedback", "revision 17",
                           "4.250 ms", "31 steps", "12,345", "678"}) {
    EXPECT_THAT(table, HasSubstr(part));
  }
}

// A screen is drawn over the one before.
TEST(ProgressTest, TheTableKeepsItsShape) {
  Progress late = Learning();
  late.facts_begun = late.facts_seen_right = 1'000'000;  // More than there are.
  late.asked_of = 1500;
  late.ttft_ms = std::numeric_limits<double>::infinity();
  const std::string tables[] = {FormatTable({}), FormatTable(Learning()), FormatTable(late)};
  for (const std::string& table : tables) {
    EXPECT_EQ(std::count(table.begin(), table.end(), '\n'),
              std::count(tables[0].begin(), tables[0].end(), '\n'));
    for (const auto line : absl::StrSplit(table, '\n')) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(ProgressTest, TheLineTellsTheSame) {
  const std::string line = FormatLine(Learning());
  for (const char* part : {"62 s", "learning", "60 of 100", "seen right 40", "90 of 180",
                           "revision 17", "12,345", "678", "4.250 ms"}) {
    EXPECT_THAT(line, HasSubstr(part));
  }
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  Progress exam = Learning();
  exam.asked = 10;
  exam.asked_of = 1500;
  EXPECT_THAT(FormatLine(exam), HasSubstr("10 of 1500 questions"));
  exam.asked = 0;
  EXPECT_THAT(FormatLine(exam), HasSubstr(": 1500 questions")) << "not as if none were right";
  exam.asked = 10;
  EXPECT_THAT(FormatTable(exam), HasSubstr("10 of 1,500 questions"));
}

}  // namespace
}  // namespace alchemist
