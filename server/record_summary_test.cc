#include "server/record_summary.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/batcher_testing.h"

namespace alchemist {
namespace {

bool Never() { return false; }

// Records of a prompt that runs in steps of eight rows, and of its answer.
class RecordSummaryTest : public ::testing::Test {
 protected:
  static TestServingOptions Options(RecordMode record, DType dtype) {
    TestServingOptions options;
    options.dtype = dtype;
    options.batcher.record = record;
    options.batcher.scheduler.rows_per_step = 8;
    return options;
  }
  static uint64_t RecordOf(TestServing& serving, bool response) {
    serving.Add(serving.Request(kPromptRows, kAnswerTokens));
    serving.RunAll();
    const FinishedCompletion& finished = serving.finished().back();
    return response ? finished.response_record_id : finished.record_id;
  }
  static std::map<std::string, RecordedTensor> Summaries(TestServing& serving, uint64_t record_id) {
    const auto look = serving.store().BeginLook(record_id);
    EXPECT_TRUE(look.ok()) << look.status();
    const auto tensors =
        SummarizeRecord(look->descriptor, serving.layout(), serving.store().data(), Never);
    EXPECT_TRUE(tensors.ok()) << tensors.status();
    serving.store().EndLook(record_id);
    std::map<std::string, RecordedTensor> by_name;
    for (const RecordedTensor& tensor : *tensors) {
      by_name[absl::StrCat(tensor.layer, "/", tensor.name)] = tensor;
    }
    EXPECT_EQ(by_name.size(), tensors->size()) << "each tensor is one line, in all its pieces";
    return by_name;
  }

  static constexpr int64_t kPromptRows = 40;
  static constexpr int64_t kAnswerTokens = 4;
};

TEST_F(RecordSummaryTest, EveryTensorOfTheLayoutIsThereWithTheRowsThatAreRecorded) {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    TestServing serving(Options(RecordMode::kPrefill, dtype));
    auto summaries = Summaries(serving, RecordOf(serving, /*response=*/false));
    const ActivationLayout& layout = serving.layout();
    for (int64_t layer = 0; layer <= layout.layers(); ++layer) {
      for (const TensorSpec& spec : layout.layer(layer)) {
        const std::string name = absl::StrCat(layer, "/", ActivationTensorName(spec.tensor));
        const RecordedTensor tensor = summaries[name];
        EXPECT_EQ(tensor.rows, spec.head_rows_only ? 1 : kPromptRows) << name;
        EXPECT_EQ(tensor.width, spec.width) << name;
        EXPECT_EQ(tensor.dtype, spec.dtype) << name;
        EXPECT_EQ(tensor.summary.finite, tensor.rows * tensor.width) << name;
        EXPECT_GT(tensor.summary.l2_norm(), 0) << name;
        EXPECT_LT(tensor.summary.min, tensor.summary.max) << name;
        summaries.erase(name);
      }
      if (layer == layout.layers()) continue;
      for (const char* kv : {"k", "v"}) {
        const std::string name = absl::StrCat(layer, "/", kv);
        EXPECT_EQ(summaries[name].rows, kPromptRows) << name;
        EXPECT_EQ(summaries[name].summary.finite, kPromptRows * layout.kv_width()) << name;
        summaries.erase(name);
      }
    }
    EXPECT_TRUE(summaries.empty()) << summaries.begin()->first;
  }
}

TEST_F(RecordSummaryTest, KAndVAreToldApart) {
  TestServing serving(Options(RecordMode::kPrefill, DType::kF32));
  const uint64_t record_id = RecordOf(serving, /*response=*/false);
  const auto bytes = serving.RecordBytes(record_id);
  const auto summaries = Summaries(serving, record_id);
  for (const char* name : {"0/k", "0/v", "1/k", "1/v"}) {
    const std::string& rows = bytes.at(name);
    TensorSummary expected;
    AddRows({rows.data(), 1, static_cast<int64_t>(rows.size() / sizeof(float)), DType::kF32},
            expected);
    EXPECT_EQ(summaries.at(name).summary.min, expected.min) << name;
    EXPECT_EQ(summaries.at(name).summary.sum_squares, expected.sum_squares) << name;
  }
  EXPECT_NE(summaries.at("0/k").summary.sum_squares, summaries.at("0/v").summary.sum_squares);
}

// All rows of an answer but its last token, which is never run, are head rows; so is the prompt's
// last one.
TEST_F(RecordSummaryTest, AnAnswersRecordHasItsPromptsRowsToo) {
  TestServing serving(Options(RecordMode::kAll, DType::kF32));
  const auto summaries = Summaries(serving, RecordOf(serving, /*response=*/true));
  const int64_t last = serving.layout().layers() - 1;
  EXPECT_EQ(summaries.at("0/k").rows, kPromptRows + kAnswerTokens - 1);
  EXPECT_EQ(summaries.at(absl::StrCat(last, "/x")).rows, kPromptRows + kAnswerTokens - 1);
  EXPECT_EQ(summaries.at(absl::StrCat(last, "/gate")).rows, 1 + kAnswerTokens - 1);
}

TEST_F(RecordSummaryTest, StopsBeforeAnyTensorWhenNobodyWaits) {
  TestServing serving(Options(RecordMode::kPrefill, DType::kF32));
  const auto look = serving.store().BeginLook(RecordOf(serving, /*response=*/false));
  ASSERT_TRUE(look.ok()) << look.status();
  int64_t asked = 0, stop_at = 0;
  const auto summarize = [&] {
    asked = 0;
    return SummarizeRecord(look->descriptor, serving.layout(), serving.store().data(),
                           [&] { return ++asked == stop_at; });
  };
  const auto all = summarize();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(asked, static_cast<int64_t>(all->size()));
  for (stop_at = 1; stop_at <= static_cast<int64_t>(all->size()); ++stop_at) {
    EXPECT_EQ(summarize().status().code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(asked, stop_at);
  }
}

}  // namespace
}  // namespace alchemist
