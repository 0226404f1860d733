// alchemist_bench in its short form on a tiny model: every benchmark runs to its end and reports
// the rows that DESIGN.md section 12 names. How fast anything is, is not asked here.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tools/daemons/process.h"

namespace alchemist {
namespace {

constexpr int64_t kDeadlineUs = 120'000'000;
constexpr int64_t kFileBytesMax = 1 << 20;

struct Case {
  const char* benchmark;
  std::vector<std::string> rows;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.benchmark; }

class BenchE2eTest : public ::testing::Test {
 protected:
  BenchE2eTest() {
    std::string path = ::testing::TempDir() + "/b.XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr) << path;
    directory_ = path;
    std::filesystem::create_directory(directory_ + "/traces");
    EXPECT_OK(WriteFileSynced(directory_ + "/traces/sharegpt_lengths.csv",
                              "prompt,response\n74,918\n290,905\n1402,711\n2497,918\n900,1\n"));
  }
  ~BenchE2eTest() override { std::filesystem::remove_all(directory_); }

  // Runs it to its end. `data_dir` is ALCHEMIST_DATA.
  void Run(std::vector<std::string> flags, const std::string& data_dir) {
    std::vector<std::string> command = {ProgramPath("tools/bench/alchemist_bench"), "--short",
                                        "--shape=tiny", "--threads=1", "--json=" + json()};
    command.insert(command.end(), flags.begin(), flags.end());
    auto process = Process::Start({.command = std::move(command),
                                   .environment = {{"ALCHEMIST_DATA", data_dir}},
                                   .log_path = directory_ + "/log"});
    ASSERT_OK(process.status());
    process_ = *std::move(process);
    ASSERT_TRUE(process_->WaitForExit(kDeadlineUs)) << process_->Log();
  }

  std::string json() const { return directory_ + "/rows.json"; }

  std::string directory_;
  std::unique_ptr<Process> process_;
};

class BenchCaseTest : public BenchE2eTest, public ::testing::WithParamInterface<Case> {};

TEST_P(BenchCaseTest, ReportsItsRowsAsATableAndAsJson) {
  ASSERT_NO_FATAL_FAILURE(Run({absl::StrCat("--benchmark=", GetParam().benchmark)}, directory_));
  ASSERT_TRUE(process_->exited_with(0)) << process_->Log();
  const auto text = ReadFile(json(), kFileBytesMax);
  ASSERT_OK(text.status());
  const auto report = ParseJson(*text, "rows");
  ASSERT_OK(report.status());
  EXPECT_EQ(report->at("benchmark"), GetParam().benchmark);
  static const std::string products = report->at("machine").at("matmul");
  EXPECT_EQ(report->at("machine").at("matmul"), products) << "all are of the same model";
  std::vector<std::string> names;
  for (const auto& row : report->at("rows")) {
    names.push_back(row.at("name"));
    EXPECT_TRUE(row.at("value").is_number()) << row;
    EXPECT_TRUE(absl::StrContains(process_->Log(), names.back())) << process_->Log();
    if (names.back() == "gradient_bits_equal") {
      EXPECT_EQ(row.at("value"), 1);
    }
    if (names.back() == "capacity_ratio") {
      EXPECT_GE(row.at("value"), 1) << row;
    }
    if (names.back() == "prefix_hit_ratio_training_over_off") {
      EXPECT_GE(row.at("value"), 0.9) << row;
      EXPECT_GT(row.at("params").at("revisions_published_per_run"), 0) << row;
    }
  }
  EXPECT_EQ(names, GetParam().rows);
}

INSTANTIATE_TEST_SUITE_P(
    Benchmarks, BenchCaseTest,
    ::testing::Values(
        Case{"serve",
             {"prefill_128_of_matmul_peak", "prefill_512_of_matmul_peak",
              "prefill_1024_of_matmul_peak", "prefill_4096_over_512", "prefix_hit_ttft_ratio",
              "decode_1_of_read_bandwidth", "decode_8_over_1", "step_p95_beside_prefill_ratio_16",
              "step_p95_beside_prefill_ratio_32", "step_p95_beside_prefill_ratio_64",
              "step_p95_beside_prefill_ratio_128", "step_p95_beside_prefill_ratio_512",
              "e2e_us_per_token", "command_latency_p99_ms"}},
        Case{"reuse",
             {"sharegpt_prefill_ratio", "sharegpt_prefill_of_ceiling", "step_of_matmul_peak",
              "forward_over_backward_rate", "gradient_bits_equal"}},
        Case{"record_overhead", {"ttft_p50_ratio", "tpot_p50_ratio_all", "capacity_ratio"}},
        Case{"interference",
             {"step_p95_ratio_30", "training_share_30", "step_p95_ratio_60", "training_share_60",
              "step_p95_ratio_90", "training_share_90", "prefix_hit_ratio_training_over_off"}},
        Case{"memory", {"weight_pss_ratio"}}),
    [](const auto& info) { return info.param.benchmark; });

TEST_F(BenchE2eTest, WithoutDataWhatNeedsItSaysSo) {
  ASSERT_NO_FATAL_FAILURE(Run({"--benchmark=reuse"}, ""));
  EXPECT_TRUE(process_->exited_with(0)) << process_->Log();
  EXPECT_TRUE(absl::StrContains(process_->Log(), "skipped: ALCHEMIST_DATA")) << process_->Log();
}

TEST_F(BenchE2eTest, AnUnknownBenchmarkListsThoseThereAre) {
  ASSERT_NO_FATAL_FAILURE(Run({"--benchmark=policy"}, ""));
  EXPECT_TRUE(process_->exited_with(1)) << process_->Log();
  for (const char* name : {"serve", "reuse", "record_overhead", "interference", "memory"}) {
    EXPECT_TRUE(absl::StrContains(process_->Log(), name)) << process_->Log();
  }
}

}  // namespace
}  // namespace alchemist
