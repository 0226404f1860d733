#include "model/own_record.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu_device.h"
#include "kernels/faulty_device.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

class OwnRecordTest : public testing::Test {
 protected:
  OwnRecordTest()
      : config_(TinyModelConfig(ModelFamily::kQwen3)), layout_(config_, DType::kF32, 1) {}

  std::unique_ptr<OwnRecord> Make(std::vector<OwnRecord::Part> parts) {
    auto record = OwnRecord::Create(layout_, std::move(parts), device_);
    EXPECT_TRUE(record.ok());
    return *std::move(record);
  }

  CpuDevice device_;
  const ModelConfig config_;
  const ActivationLayout layout_;
};

TEST_F(OwnRecordTest, ChunksAndPartsAreWindowsOfTheSameRows) {
  const auto record = Make({{0, 5, {4}}, {20, 3, {0, 2}}});
  EXPECT_EQ(record->rows(), 8);
  EXPECT_EQ(record->FirstRow(1), 5);
  const std::vector<LayerActivations> all = record->Activations(0, 8);
  const std::vector<LayerActivations> chunk = record->Activations(6, 2);
  const std::vector<LayerPieces> part = record->Pieces(1);
  const TensorView& q = Of(all[1], ActivationTensor::kQ);
  EXPECT_EQ(Of(chunk[1], ActivationTensor::kQ).data, q.Row<float>(6));
  EXPECT_EQ(Of(part[1], ActivationTensor::kQ).pieces()[0].data, q.Row<float>(5));
  EXPECT_EQ(Of(part[1], ActivationTensor::kQ).rows(), 3);
}

TEST_F(OwnRecordTest, LastLayersTensorsAreDenseOverHeadRows) {
  const auto record = Make({{0, 5, {4}}, {20, 3, {0, 2}}});
  EXPECT_EQ(record->HeadRows(0, 8), (std::vector<int32_t>{4, 5, 7}));
  EXPECT_EQ(record->HeadRows(5, 3), (std::vector<int32_t>{0, 2}));
  const std::vector<LayerActivations> all = record->Activations(0, 8);
  const std::vector<LayerActivations> chunk = record->Activations(6, 2);
  const TensorView& gate = Of(all[2], ActivationTensor::kGate);
  EXPECT_EQ(gate.rows, 3);
  EXPECT_EQ(Of(chunk[2], ActivationTensor::kGate).data, gate.Row<float>(2));
  EXPECT_EQ(Of(chunk[2], ActivationTensor::kGate).rows, 1);
  EXPECT_EQ(Of(all[2], ActivationTensor::kX).rows, 8);
}

TEST_F(OwnRecordTest, UnrecordedLayersHaveKvAlone) {
  const auto record = Make({{7, 5, {4}}});
  const std::vector<LayerActivations> activations = record->Activations(0, 5);
  for (const TensorView& view : activations[0]) EXPECT_EQ(view.data, nullptr);
  const std::vector<LayerPieces> all_pieces = record->Pieces(0);
  for (const RowPieces& pieces : all_pieces[0]) EXPECT_EQ(pieces.rows(), 0);
  const std::vector<std::vector<KvRun>> kv = record->Kv(0);
  ASSERT_EQ(kv.size(), static_cast<size_t>(config_.layers));
  EXPECT_EQ(kv[0][0].first_position, 7);
  EXPECT_EQ(kv[0][0].k.rows, 5);
  const std::vector<std::vector<KvRows>> write = record->KvWrite(0, 2, 3);
  EXPECT_EQ(write[0][0].first_position, 9);
  EXPECT_EQ(write[0][0].v.data, kv[0][0].v.Row<float>(2));
}

TEST_F(OwnRecordTest, TakesWhatTheLayoutSaysAndGivesItBack) {
  {
    const auto record = Make({{0, 5, {4}}, {20, 3, {0, 2}}});
    EXPECT_EQ(record->bytes(), device_.bytes_allocated());
    EXPECT_GE(record->bytes(), layout_.RecordBytes(8, 3));
    const int64_t tensors = 3 * kActivationTensors + 1 + 2 * config_.layers;
    EXPECT_LE(record->bytes(), layout_.RecordBytes(8, 3) + 64 * tensors) << "alignment only";
  }
  EXPECT_EQ(device_.bytes_allocated(), 0);
}

TEST_F(OwnRecordTest, WithoutRoomThereIsNoRecord) {
  FaultyDevice faulty(&device_, 1);
  const auto record = OwnRecord::Create(layout_, {{0, 5, {4}}}, faulty);
  EXPECT_EQ(record.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(device_.bytes_allocated(), 0);
}

}  // namespace
}  // namespace alchemist
