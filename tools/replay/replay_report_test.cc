#include "tools/replay/replay_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace alchemist {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

ReplayOptions Options() {
  ReplayOptions options;
  options.server = "host:1";
  options.trace = "mooncake";
  options.concurrency_max = 8;
  options.slo = {.ttft_ms = 750, .tpot_ms = 50};
  return options;
}

ReplayResult Result() {
  ReplayResult result;
  result.model_name = "tiny";
  result.request_tokens_max = 512;
  result.requests = 10;
  result.requests_cut = 4;
  result.retries = 5;
  result.summary.completed = 6;
  result.summary.failed = 2;
  result.summary.failures = {{"RESOURCE_EXHAUSTED", {2, "the queue is full"}}};
  result.summary.prompt_tokens = 4000;
  result.summary.cached_tokens = 1000;
  result.summary.answer_tokens = 100;
  result.summary.prefix_hit_share = 0.25;
  result.summary.ttft_ms = {11, 12, 13};
  result.summary.e2e_ms = {31, 32, 33};
  result.summary.client_wait_ms = {41, 42, 43};
  result.summary.slo_met = 4;
  result.summary.seconds = 2;
  return result;
}

TEST(ReplayReportTest, TheTableSaysWhatWasSentAndWhatCameOfIt) {
  const std::string text = ReplayTable(Options(), Result());
  EXPECT_THAT(text, HasSubstr("mooncake to host:1 (tiny), 2.0 s until stopped"));
  EXPECT_THAT(text, HasSubstr("4 of 10 requests were cut to the 512 tokens"));
  EXPECT_THAT(text, HasSubstr("10: 6 completed, 2 failed, 2 unfinished; 5 retries"));
  EXPECT_THAT(text, ContainsRegex("failed, RESOURCE_EXHAUSTED +2; the first: the queue is full"));
  EXPECT_THAT(text, ContainsRegex("prompt tokens +4,000 \\(2000.0/s\\)"));
  EXPECT_THAT(text, ContainsRegex("answer tokens +100 \\(50.0/s\\)"));
  EXPECT_THAT(text, ContainsRegex("prefix hits +25.0% of the prompt tokens"));
  EXPECT_THAT(text, ContainsRegex("time to first token +11 +12 +13\n"));
  EXPECT_THAT(text, ContainsRegex("time per further token +- +- +-\n")) << "was not measured";
  EXPECT_THAT(text, ContainsRegex("end to end +31 +32 +33\n"));
  EXPECT_THAT(text, ContainsRegex("wait in the client +41 +42 +43\n"));
  EXPECT_THAT(
      text,
      ContainsRegex("goodput +2 requests/s, 50.0% of those that ended, met the SLO: first token "
                    "within 750 ms, 50 ms per further token"));
}

TEST(ReplayReportTest, ATableOfWhatWentWellSaysNothingOfCutsAndFailures) {
  ReplayResult result = Result();
  result.requests_cut = 0;
  result.requests = 8;
  result.summary.failures.clear();
  const std::string text = ReplayTable(Options(), result);
  EXPECT_THAT(text, Not(HasSubstr("cut")));
  EXPECT_THAT(text, Not(HasSubstr("stopped")));
  EXPECT_THAT(text, Not(HasSubstr("failed, R")));
}

TEST(ReplayReportTest, TheJsonHasTheSameFigures) {
  const auto json = ParseJson(ReplayJson(Options(), Result()), "report");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->at("requests"), 10);
  EXPECT_EQ(json->at("completed"), 6);
  EXPECT_EQ(json->at("failed"), 2);
  EXPECT_EQ(json->at("unfinished"), 2);
  EXPECT_EQ(json->at("failures").at("RESOURCE_EXHAUSTED").at("count"), 2);
  EXPECT_EQ(json->at("prefix_hit_share"), 0.25);
  EXPECT_EQ(json->at("ttft_ms").at("p90"), 12);
  EXPECT_EQ(json->at("e2e_ms").at("p99"), 33);
  EXPECT_TRUE(json->at("tpot_ms").at("p50").is_null());
  EXPECT_EQ(json->at("slo").at("ttft_ms"), 750);
  EXPECT_EQ(json->at("goodput_requests_per_second"), 2);
  EXPECT_EQ(json->at("slo_met_share"), 0.5);
  EXPECT_EQ(json->at("params").at("concurrency_max"), 8);
}

TEST(ReplayReportTest, WhatIsNoUtf8InTheJsonIsReplaced) {
  ReplayOptions options = Options();
  options.session_id = "caf\xe9";
  ReplayResult result = Result();
  result.summary.failures = {{"INTERNAL", {1, "\xff"}}};
  const auto json = ParseJson(ReplayJson(options, result), "report");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->at("params").at("session_id"), "caf\xef\xbf\xbd");
  EXPECT_EQ(json->at("failures").at("INTERNAL").at("first_message"), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace alchemist
