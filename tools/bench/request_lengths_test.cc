#include "tools/bench/request_lengths.h"

#include <gtest/gtest.h>

namespace alchemist {
namespace {

using Requests = std::vector<RequestLengths>;

TEST(RequestLengthsTest, ReadsTheFirstTwoColumnsBelowTheHeadings) {
  const auto requests = ParseLengths("a,b,c\n3,4,7\n10,1,11\n", "trace");
  ASSERT_TRUE(requests.ok()) << requests.status();
  EXPECT_EQ(*requests, (Requests{{3, 4}, {10, 1}}));
}

TEST(RequestLengthsTest, ALineWithoutLengthsIsNamed) {
  for (const char* line : {"3", "3,", "x,4", "0,4", "3,-1", "3,99999999999999999999"}) {
    const auto status = ParseLengths(std::string("a,b\n1,1\n") + line + "\n", "trace").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << line;
    EXPECT_NE(status.message().find("trace: line 3"), std::string::npos) << status;
  }
  EXPECT_FALSE(ParseLengths("a,b\n", "trace").ok());
}

TEST(RequestLengthsTest, OneFactorScalesAllAndNothingVanishes) {
  EXPECT_EQ(ScaleToContext({{60, 20}, {40, 1}, {8, 8}}, 20), (Requests{{15, 5}, {10, 1}, {2, 2}}));
}

TEST(RequestLengthsTest, AnEvenSampleHasShortAndLongRequests) {
  Requests all;
  for (int i = 100; i >= 1; --i) all.push_back({i, i});
  // The mean is 101 tokens: four requests.
  EXPECT_EQ(EvenSample(all, 404), (Requests{{13, 13}, {38, 38}, {63, 63}, {88, 88}}));
  EXPECT_EQ(EvenSample(all, 1), (Requests{{51, 51}}));
}

}  // namespace
}  // namespace alchemist
