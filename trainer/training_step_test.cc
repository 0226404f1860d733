#include "trainer/training_step.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/faulty_device.h"
#include "kernels/testing.h"
#include "model/pass_testing.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

constexpr int64_t kRowsMax = 512;

// Hands out memory full of NaNs, as ReusingDevice might.
class DirtyDevice : public Device {
 public:
  explicit DirtyDevice(Device* device) : device_(device) {}
  absl::StatusOr<Buffer> Allocate(int64_t bytes) override {
    absl::StatusOr<Buffer> buffer = device_->Allocate(bytes);
    if (buffer.ok()) std::memset(buffer->data(), 0xff, bytes);
    return buffer;
  }
  int64_t bytes_allocated() const override { return device_->bytes_allocated(); }
  int64_t bytes_allocated_peak() const override { return device_->bytes_allocated_peak(); }
  void ResetPeak() override { device_->ResetPeak(); }

 private:
  Device* const device_;
};

class TrainingStepTest : public testing::TestWithParam<PassTestParam> {
 protected:
  struct Result {
    StepOutcome outcome;
    std::vector<float> gradient;
  };

  TrainingStepTest()
      : config_(TinyModelConfig(GetParam().family)),
        model_(RandomModelForTest(config_, 1, machine_.device, GetParam().dtype)),
        layout_(config_, GetParam().dtype, 0),
        adapter_(RandomAdapterForTest(config_, 2)) {}

  // Responses of 1 token (no row is run for it) and more, prompts around the edges of pages.
  TrainingItem MakeItem(const std::string& completion, int64_t prompt, int64_t response) {
    TrainingItem item;
    item.item_id = completion + "/item";
    item.completion_id = completion;
    item.prompt_tokens = RandomTokens(prompt, config_.vocab, &random_);
    item.response_tokens = RandomTokens(response, config_.vocab, &random_);
    return item;
  }
  std::vector<TrainingItem> MakeItems() {
    std::vector<TrainingItem> items;
    items.push_back(MakeItem("a", 33, 7));
    items.push_back(MakeItem("b", 1, 1));
    items.push_back(MakeItem("c", 64, 3));
    return items;
  }
  std::vector<StepItem> StepItems(const std::vector<TrainingItem>& items) const {
    std::vector<StepItem> step_items;
    for (const TrainingItem& item : items) step_items.push_back({&item, adapter_.get(), nullptr});
    return step_items;
  }
  Result Run(const std::vector<StepItem>& items, int64_t rows_max = kRowsMax) {
    return Run(items, rows_max, machine_.device);
  }
  Result Run(const std::vector<StepItem>& items, int64_t rows_max, Device& device) {
    auto step = TrainingStep::Create(model_.get(), &layout_, rows_max, &device, &machine_.stream);
    EXPECT_TRUE(step.ok()) << step.status();
    AdapterGradients gradients(*adapter_);
    auto outcome = (*step)->Run(items, &gradients, nullptr);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return {*std::move(outcome), Flatten(gradients)};
  }

  TestMachine machine_;
  const ModelConfig config_;
  const std::unique_ptr<const Model> model_;
  const ActivationLayout layout_;
  const std::unique_ptr<LoraAdapter> adapter_;
  Random random_{3};
};

// The central claim, within one process: what was recorded gives the bits of what is run.
TEST_P(TrainingStepTest, PromptsReadFromARecordGiveTheBitsOfPromptsRun) {
  const std::vector<TrainingItem> items = MakeItems();
  std::vector<StepItem> step_items = StepItems(items);
  const Result run = Run(step_items);
  EXPECT_EQ(run.outcome.prompt_rows_run, 33 + 1 + 64);
  EXPECT_EQ(run.outcome.prompt_rows_read, 0);
  EXPECT_EQ(run.outcome.response_rows_run, 6 + 0 + 2);
  std::vector<RecordView> records;
  for (const OwnPrompt& own : run.outcome.own_prompts) {
    records.push_back(ViewOwnRecord(*own.record, own.part));
  }
  for (size_t i = 0; i < items.size(); ++i) step_items[i].prompt_record = &records[i];
  const Result read = Run(step_items);
  EXPECT_EQ(read.outcome.prompt_rows_read, 33 + 1 + 64);
  EXPECT_EQ(read.outcome.prompt_rows_run, 0);
  ExpectSameBits("gradient", read.gradient, run.gradient);
  EXPECT_EQ(read.outcome.loss, run.outcome.loss);
  EXPECT_EQ(read.outcome.item_loss, run.outcome.item_loss);
  step_items[1].prompt_record = nullptr;  // Some read, some run.
  ExpectSameBits("gradient, mixed", Run(step_items).gradient, run.gradient);
}

TEST_P(TrainingStepTest, TheRowsOfAForwardCallDoNotChangeTheBits) {
  const std::vector<TrainingItem> items = MakeItems();
  const Result whole = Run(StepItems(items), 512);
  for (const int64_t rows_max : {1, 5}) {
    const Result cut = Run(StepItems(items), rows_max);
    ExpectSameBits("gradient", cut.gradient, whole.gradient);
    EXPECT_EQ(cut.outcome.loss, whole.outcome.loss) << rows_max;
  }
}

TEST_P(TrainingStepTest, WhatLayInItsMemoryBeforeDoesNotChangeTheBits) {
  const std::vector<TrainingItem> items = MakeItems();
  const Result clean = Run(StepItems(items));
  DirtyDevice dirty(&machine_.device);
  const Result result = Run(StepItems(items), kRowsMax, dirty);
  ExpectSameBits("gradient", result.gradient, clean.gradient);
  EXPECT_EQ(result.outcome.item_loss, clean.outcome.item_loss);
}

TEST_P(TrainingStepTest, TwoAnswersOfOnePromptShareIt) {
  std::vector<TrainingItem> items = {MakeItem("a", 33, 7), MakeItem("a", 33, 4)};
  items[1].prompt_tokens = items[0].prompt_tokens;
  const Result shared = Run(StepItems(items));
  EXPECT_EQ(shared.outcome.prompt_rows_run, 33);
  EXPECT_NE(shared.outcome.own_prompts[0].record, nullptr);
  EXPECT_EQ(shared.outcome.own_prompts[1].record, nullptr);
  items[1].completion_id = "b";
  const Result apart = Run(StepItems(items));
  EXPECT_EQ(apart.outcome.prompt_rows_run, 66);
  // The losses are those of the same rows; the gradients are summed in another order.
  EXPECT_EQ(shared.outcome.item_loss, apart.outcome.item_loss);
  double difference = 0, size = 0;
  for (size_t i = 0; i < shared.gradient.size(); ++i) {
    const double d = double{shared.gradient[i]} - double{apart.gradient[i]};
    difference += d * d;
    size += double{apart.gradient[i]} * double{apart.gradient[i]};
  }
  EXPECT_GT(size, 0);
  EXPECT_LE(std::sqrt(difference / size), Roundings(config_.layers * (config_.ffn + 66)));
}

TEST_P(TrainingStepTest, AnItemWithoutARecordReadsThatOfTheItemItSharesThePromptWith) {
  std::vector<TrainingItem> items = {MakeItem("a", 33, 7), MakeItem("a", 33, 4)};
  items[1].prompt_tokens = items[0].prompt_tokens;
  std::vector<StepItem> step_items = StepItems(items);
  const Result run = Run(step_items);
  const OwnPrompt& own = run.outcome.own_prompts[0];
  const RecordView record = ViewOwnRecord(*own.record, own.part);
  step_items[0].prompt_record = &record;
  const Result read = Run(step_items);
  EXPECT_EQ(read.outcome.prompt_rows_read, 33);
  EXPECT_EQ(read.outcome.prompt_rows_run, 0);
  ExpectSameBits("gradient", read.gradient, run.gradient);
}

// What a response's rows are made of: every token but the last one matters as input, each as
// target.
TEST_P(TrainingStepTest, EveryTokenOfPromptAndResponseCounts) {
  std::vector<TrainingItem> items = {MakeItem("a", 3, 4)};
  const Result before = Run(StepItems(items));
  for (std::vector<int32_t>* tokens : {&items[0].prompt_tokens, &items[0].response_tokens}) {
    for (int32_t& token : *tokens) {
      const int32_t kept = token;
      token = (token + 1) % static_cast<int32_t>(config_.vocab);
      EXPECT_NE(Run(StepItems(items)).gradient, before.gradient);
      token = kept;
    }
  }
}

TEST_P(TrainingStepTest, LayersAreDoneFromTheLastDownEachOnce) {
  const std::vector<TrainingItem> items = MakeItems();
  auto step =
      TrainingStep::Create(model_.get(), &layout_, kRowsMax, &machine_.device, &machine_.stream);
  ASSERT_TRUE(step.ok());
  AdapterGradients gradients(*adapter_);
  std::vector<int64_t> done;
  ASSERT_TRUE((*step)
                  ->Run(StepItems(items), &gradients, [&](int64_t layer) { done.push_back(layer); })
                  .ok());
  EXPECT_EQ(done, (std::vector<int64_t>{3, 2, 1, 0}));
}

TEST_P(TrainingStepTest, WithoutRoomNothingIsAddedAndNothingLeaks) {
  const std::vector<TrainingItem> items = MakeItems();
  const std::vector<float> wanted = Run(StepItems(items)).gradient;
  const std::vector<float> zeros(wanted.size(), 0.0f);
  const int64_t bytes = machine_.device.bytes_allocated();
  bool succeeded = false;
  for (int64_t fail_at = 1; !succeeded; ++fail_at) {
    ASSERT_LT(fail_at, 200) << "more allocations than a step makes";
    FaultyDevice faulty(&machine_.device, fail_at);
    AdapterGradients gradients(*adapter_);
    {
      auto step = TrainingStep::Create(model_.get(), &layout_, kRowsMax, &faulty, &machine_.stream);
      absl::Status status = step.status();
      if (step.ok()) status = (*step)->Run(StepItems(items), &gradients, nullptr).status();
      succeeded = status.ok();
      if (!succeeded) {
        EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << fail_at;
        ExpectSameBits("untouched", Flatten(gradients), zeros);
        // The same step works once there is room.
        if (step.ok()) {
          ASSERT_TRUE((*step)->Run(StepItems(items), &gradients, nullptr).ok());
        }
      }
      if (step.ok()) ExpectSameBits("gradient", Flatten(gradients), wanted);
    }
    EXPECT_EQ(machine_.device.bytes_allocated(), bytes) << fail_at;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, TrainingStepTest, testing::ValuesIn(kPassTestParams),
                         kPassTestName);

}  // namespace
}  // namespace alchemist
