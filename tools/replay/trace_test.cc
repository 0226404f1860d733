#include "tools/replay/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kAzureHeadings[] = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n";

std::string MessageOf(const absl::StatusOr<Trace>& trace) {
  EXPECT_EQ(trace.status().code(), absl::StatusCode::kInvalidArgument) << trace.status();
  return std::string(trace.status().message());
}

TEST(TraceTest, LengthsAloneHaveNoArrivals) {
  const auto trace = ParseTrace("prompt,answer,total\n74,918,992\n290,905,1195\n", "t");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_FALSE(trace->has_arrivals);
  EXPECT_EQ(trace->requests, (std::vector<TraceRequest>{{0, 74, 918}, {0, 290, 905}}));
  EXPECT_THAT(MessageOf(ParseTrace("prompt,answer\n74,0\n", "t")), HasSubstr("t: line 2"));
}

TEST(TraceTest, AzureArrivalsCountFromTheFirstRequest) {
  const auto trace = ParseTrace(std::string(kAzureHeadings) +
                                    "2023-11-16 23:59:59.9799600,4808,10\r\n"
                                    "2023-11-17 00:00:01.0000000,3180,8\r\n",
                                "t");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_TRUE(trace->has_arrivals);
  EXPECT_EQ(trace->requests, (std::vector<TraceRequest>{{0, 4808, 10}, {1'020'040, 3180, 8}}));
}

TEST(TraceTest, AnAzureLineThatIsNoneIsNamed) {
  const auto message_of = [](const std::string& line) {
    return MessageOf(
        ParseTrace(std::string(kAzureHeadings) + "2023-11-16 18:17:03.5,1,1\r\n" + line, "t"));
  };
  EXPECT_THAT(message_of("yesterday,1,1"), HasSubstr("t: line 3 has no time of arrival"));
  EXPECT_THAT(message_of("2023-11-16 18:17:04,1"), HasSubstr("t: line 3 has no lengths"));
  EXPECT_THAT(message_of("2023-11-16 18:17:04,1,16777217"), HasSubstr("from 1 to 16777216"));
  EXPECT_THAT(message_of("2023-11-16 18:17:02,1,1"), HasSubstr("t: line 3 came before"));
  for (const char* time : {"infinite-future", "1969-12-31 23:59:59", "9999-01-01 00:00:00"}) {
    EXPECT_THAT(message_of(absl::StrCat(time, ",1,1")),
                HasSubstr("t: line 3 comes before 1970 or after 2084"));
  }
  EXPECT_THAT(MessageOf(ParseTrace(kAzureHeadings, "t")), HasSubstr("t: has no requests"));
}

TEST(TraceTest, MooncakeHasArrivalsAndHashIds) {
  const auto trace =
      ParseTrace(R"({"timestamp": 7, "input_length": 513, "output_length": 5, "hash_ids": [0, 9]})"
                 "\n"
                 R"({"timestamp": 3007, "input_length": 512, "output_length": 6, "hash_ids": [0]})"
                 "\n",
                 "t");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_TRUE(trace->has_arrivals);
  EXPECT_EQ(trace->requests,
            (std::vector<TraceRequest>{{0, 513, 5, {0, 9}}, {3'000'000, 512, 6, {0}}}));
}

TEST(TraceTest, AMooncakeLineThatIsNoneIsNamed) {
  const auto message_of = [](const std::string& line) {
    return MessageOf(
        ParseTrace(R"({"timestamp": 7, "input_length": 1, "output_length": 1, "hash_ids": [0]})"
                   "\n" +
                       line,
                   "t"));
  };
  EXPECT_THAT(message_of("{"), HasSubstr("t: line 2"));
  EXPECT_THAT(message_of(R"({"timestamp": 7, "input_length": 1, "output_length": 1})"),
              AllOf(HasSubstr("t: line 2"), HasSubstr("hash_ids")));
  EXPECT_THAT(message_of(R"({"timestamp": 8, "input_length": 0, "output_length": 1})"),
              AllOf(HasSubstr("t: line 2"), HasSubstr("input_length")));
  EXPECT_THAT(
      message_of(R"({"timestamp": 8, "input_length": 513, "output_length": 1, "hash_ids": [1]})"),
      AllOf(HasSubstr("t: line 2"), HasSubstr("has 1 ids; 513 tokens are 2 blocks of 512")));
  EXPECT_THAT(
      message_of(R"({"timestamp": 6, "input_length": 1, "output_length": 1, "hash_ids": [1]})"),
      HasSubstr("t: line 2 came before"));
}

TEST(TraceTest, ANameIsAFileOfTheDataFolderAndAnythingElseAPath) {
  EXPECT_EQ(TracePath("mooncake", "/d").value(), "/d/traces/mooncake_conversation_trace.jsonl");
  EXPECT_EQ(TracePath("/x/azure_code", "/d").value(), "/x/azure_code");
  EXPECT_THAT(
      std::string(TracePath("sharegpt", "").status().message()),
      AllOf(HasSubstr("ALCHEMIST_DATA is not set"), HasSubstr("traces/sharegpt_lengths.csv")));
  EXPECT_THAT(std::string(TracePath("", "/d").status().message()),
              AllOf(HasSubstr("--trace"), HasSubstr("azure_code")));
}

TEST(TraceTest, AFileThatIsNotThereIsNamed) {
  EXPECT_THAT(std::string(ReadTrace("/none/trace").status().message()), HasSubstr("/none/trace"));
}

}  // namespace
}  // namespace alchemist
