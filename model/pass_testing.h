// What tests of the passes share: tiny random models and adapters of each family, and forests of
// recorded sequences made by the real forward pass. One thread.
#ifndef ALCHEMIST_MODEL_PASS_TESTING_H_
#define ALCHEMIST_MODEL_PASS_TESTING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/cpu_device.h"
#include "kernels/stream.h"
#include "kernels/worker_pool.h"
#include "model/backward.h"
#include "model/forward.h"
#include "model/lora_adapter.h"
#include "model/model.h"
#include "model/own_record.h"

namespace alchemist {

inline constexpr ModelFamily kFamiliesForTest[] = {ModelFamily::kLlama, ModelFamily::kMistral,
                                                   ModelFamily::kQwen2, ModelFamily::kQwen3};

// Every family in every type.
struct PassTestParam {
  ModelFamily family;
  DType dtype;
};
inline constexpr PassTestParam kPassTestParams[] = {
    {ModelFamily::kLlama, DType::kF32},  {ModelFamily::kMistral, DType::kF32},
    {ModelFamily::kQwen2, DType::kF32},  {ModelFamily::kQwen3, DType::kF32},
    {ModelFamily::kLlama, DType::kBf16}, {ModelFamily::kMistral, DType::kBf16},
    {ModelFamily::kQwen2, DType::kBf16}, {ModelFamily::kQwen3, DType::kBf16}};
// "llama_bf16", from a testing::TestParamInfo.
inline constexpr auto kPassTestName = [](const auto& info) {
  return std::string(ModelTypeName(info.param.family)) + "_" + DTypeName(info.param.dtype);
};

// Memory and threads of a test, with nothing shared between two of them.
struct TestMachine {
  explicit TestMachine(int threads = 1) : pool({.threads = threads}), stream(&pool) {}
  CpuDevice device;
  WorkerPool pool;
  Stream stream;
};

// A config of the family with less of everything, for references that run a pass per weight.
ModelConfig SmallConfigForTest(ModelFamily family);

// The same weights for every type, but rounded.
std::unique_ptr<const Model> RandomModelForTest(const ModelConfig& config, uint64_t seed,
                                                Device& device, DType dtype = DType::kF32);
// `model`, which is f32, with its weights rounded to bf16.
std::unique_ptr<const Model> Bf16ModelForTest(const Model& model);
// Rank 3 on all linears; B is not 0, so that every weight of it has a gradient.
std::unique_ptr<LoraAdapter> RandomAdapterForTest(const ModelConfig& config, uint64_t seed);
std::vector<int32_t> RandomTokens(int64_t count, int64_t vocab, Random* random);

// Rows of a sequence that go on from `parent` (or begin it).
struct TestNode {
  int parent = -1;
  std::vector<int32_t> tokens;
  std::vector<int32_t> head_rows;
  const LoraAdapter* adapter = nullptr;
};

// Records of a forest of nodes in one OwnRecord, made by the forward pass.
class TestForest {
 public:
  // `model` and `machine` must outlive the forest.
  TestForest(const Model& model, std::vector<TestNode> nodes, TestMachine* machine,
             int64_t lowest_trained_layer = 0);

  // Before the node is forwarded. REQUIRES: as many tokens as it was made with.
  void SetTokens(int node, std::vector<int32_t> tokens);
  // Each node alone, parents first, `chunk` rows at a time; 0: all rows at once.
  void Forward(int64_t chunk);
  // Nodes [first, end), none of which is another's parent, as one group.
  void ForwardTogether(int first, int end, RowPhase phase = RowPhase::kPrefill);
  // [head rows of node, vocab], of the node's last forward.
  const std::vector<float>& Logits(int node) const { return logits_[node]; }

  // The nodes for a backward pass; activations and K/V cut into pieces of at most `piece_rows`.
  std::vector<BackwardNode> Nodes(int64_t piece_rows = 1 << 20) const;
  OwnRecord& record() { return *record_; }
  int64_t FirstPosition(int node) const { return first_positions_[node]; }

 private:
  ForwardSpan Span(int node, int64_t first_row, int64_t rows) const;
  void Run(ForwardGroup group, const std::vector<int>& nodes);

  const Model& model_;
  TestMachine* const machine_;
  std::vector<TestNode> nodes_;
  std::vector<int64_t> first_positions_;
  std::unique_ptr<OwnRecord> record_;
  std::unique_ptr<ForwardScratch> scratch_;
  std::vector<std::vector<float>> logits_;
};

// A backward pass over `nodes`, with gradients of the shape of `like`.
struct TestGradients {
  std::vector<float> log_probs;
  std::unique_ptr<AdapterGradients> adapter;
};
TestGradients BackwardForTest(const Model& model, const std::vector<BackwardNode>& nodes,
                              const std::vector<TrainedToken>& trained, const std::vector<float>& c,
                              const LoraAdapter& like, TestMachine* machine,
                              int64_t lowest_trained_layer = 0);

// The relative error that `operations` dependent roundings to f32 can add up to.
constexpr double Roundings(int64_t operations) { return operations * 0x1p-24; }

// All elements of A and B of the layers from `lowest_layer` up.
std::vector<float> Flatten(AdapterGradients& gradients, int64_t lowest_layer = 0);
// All elements, wherever they lie, as f32.
std::vector<float> Flatten(const RowPieces& pieces);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_PASS_TESTING_H_
