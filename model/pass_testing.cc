#include "model/pass_testing.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "base/logging.h"
#include "kernels/bf16.h"
#include "model/kv_chain.h"
#include "model/random_model.h"
#include "model/trainable_model.h"
#include "model/weight_roles.h"

namespace alchemist {
namespace {

void FillNormal(TensorView tensor, double center, double deviation, Random* random) {
  float* const values = static_cast<float*>(tensor.data);
  for (int64_t i = 0; i < tensor.rows * tensor.width; ++i) {
    values[i] = static_cast<float>(center + deviation * random->Normal());
  }
}

void CutPieces(const RowPieces& from, int64_t piece_rows, RowPieces& to) {
  for (const ConstTensorView& piece : from.pieces()) {
    for (int64_t row = 0; row < piece.rows; row += piece_rows) {
      to.Append(piece.Rows(row, std::min(piece_rows, piece.rows - row)));
    }
  }
}

std::vector<KvRun> CutRuns(const std::vector<KvRun>& from, int64_t piece_rows) {
  std::vector<KvRun> runs;
  for (const KvRun& run : from) {
    for (int64_t row = 0; row < run.k.rows; row += piece_rows) {
      const int64_t rows = std::min(piece_rows, run.k.rows - row);
      runs.push_back({run.k.Rows(row, rows), run.v.Rows(row, rows), run.first_position + row});
    }
  }
  return runs;
}

class Bf16Model : public Model {
 public:
  explicit Bf16Model(const Model& from) {
    config_ = from.config();
    dtype_ = DType::kBf16;
    rope_ = std::make_unique<RopeTable>(config_.rope, config_.head_dim, config_.context);
    weights_ = from.weights();
    for (const WeightRole& role : WeightRoles(config_, weights_)) {
      const int64_t count = role.rows() * role.width();
      std::vector<Bf16>& rounded = tensors_.emplace_back(count);
      Round(role.view->Row<float>(0), count, rounded.data());
      *role.view = {rounded.data(), role.rows(), role.width(), DType::kBf16};
    }
    if (config_.tied_head) weights_.head.values = weights_.embedding;
  }

  const SharedMemory* converted() const override { return nullptr; }

 private:
  std::vector<std::vector<Bf16>> tensors_;
};

}  // namespace

ModelConfig SmallConfigForTest(ModelFamily family) {
  ModelConfig config = TinyModelConfig(family);
  config.layers = 2;
  config.hidden = 12;
  config.ffn = 14;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.vocab = 17;
  return config;
}

std::unique_ptr<const Model> RandomModelForTest(const ModelConfig& config, uint64_t seed,
                                                Device& device, DType dtype) {
  absl::StatusOr<std::unique_ptr<TrainableModel>> model = TrainableModel::Create(config, device);
  CHECK(model.ok()) << model.status();
  Random random(seed);
  for (const ParameterSet::Named& parameter : (*model)->parameters().tensors()) {
    const bool norm = absl::EndsWith(parameter.name, "norm.weight");
    const double deviation = parameter.tensor.rows == 1 ? 0.2 : 1.0 / std::sqrt(config.hidden);
    FillNormal(parameter.tensor, norm ? 1.0 : 0.0, deviation, &random);
  }
  if (dtype == DType::kBf16) return Bf16ModelForTest(**model);
  return *std::move(model);
}

std::unique_ptr<const Model> Bf16ModelForTest(const Model& model) {
  return std::make_unique<const Bf16Model>(model);
}

std::unique_ptr<LoraAdapter> RandomAdapterForTest(const ModelConfig& config, uint64_t seed) {
  LoraConfig lora;
  lora.rank = 3;
  lora.alpha = 6;
  lora.targets.assign(kLinears.begin(), kLinears.end());
  absl::StatusOr<std::unique_ptr<LoraAdapter>> adapter = LoraAdapter::Create(config, lora, seed);
  CHECK(adapter.ok()) << adapter.status();
  Random random(seed + 1);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const Linear linear : kLinears) {
      FillNormal((*adapter)->MutableB(layer, linear), 0.0, 0.1, &random);
    }
  }
  (*adapter)->UpdateDigest();
  return *std::move(adapter);
}

std::vector<int32_t> RandomTokens(int64_t count, int64_t vocab, Random* random) {
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random->Below(vocab));
  return tokens;
}

TestForest::TestForest(const Model& model, std::vector<TestNode> nodes, TestMachine* machine,
                       int64_t lowest_trained_layer)
    : model_(model), machine_(machine), nodes_(std::move(nodes)), logits_(nodes_.size()) {
  std::vector<OwnRecord::Part> parts;
  int64_t rows = 0;
  for (const TestNode& node : nodes_) {
    const int64_t parent_end = node.parent < 0
                                   ? 0
                                   : first_positions_[node.parent] +
                                         static_cast<int64_t>(nodes_[node.parent].tokens.size());
    first_positions_.push_back(parent_end);
    parts.push_back({parent_end, static_cast<int64_t>(node.tokens.size()), node.head_rows});
    rows += parts.back().rows;
  }
  const ActivationLayout layout(model.config(), model.dtype(), lowest_trained_layer);
  auto record = OwnRecord::Create(layout, std::move(parts), machine->device);
  CHECK(record.ok()) << record.status();
  record_ = *std::move(record);
  auto scratch = ForwardScratch::Create(model, rows, machine->device);
  CHECK(scratch.ok()) << scratch.status();
  scratch_ = std::make_unique<ForwardScratch>(*std::move(scratch));
}

void TestForest::SetTokens(int node, std::vector<int32_t> tokens) {
  CHECK_EQ(tokens.size(), nodes_[node].tokens.size());
  nodes_[node].tokens = std::move(tokens);
}

ForwardSpan TestForest::Span(int node, int64_t first_row, int64_t rows) const {
  ForwardSpan span;
  span.rows = rows;
  span.first_position = first_positions_[node] + first_row;
  span.adapter = nodes_[node].adapter;
  span.kv_write = record_->KvWrite(node, first_row, rows);
  std::vector<int> path;
  for (int i = node; i >= 0; i = nodes_[i].parent) path.insert(path.begin(), i);
  for (int64_t layer = 0; layer < model_.config().layers; ++layer) {
    std::vector<KvRun>& chain = span.kv.emplace_back();
    for (const int i : path) {
      AppendKvBefore(CutRuns(record_->Kv(i)[layer], 32), span.first_position + rows, chain);
    }
  }
  return span;
}

void TestForest::Run(ForwardGroup group, const std::vector<int>& nodes) {
  scratch_->FillUnrecorded(group);
  ForwardEmbedding(model_, group, machine_->stream);
  for (int64_t layer = 0; layer < model_.config().layers; ++layer) {
    ForwardLayer(model_, layer, group, *scratch_, machine_->stream);
  }
  const int64_t vocab = model_.config().vocab;
  std::vector<float> logits(group.head_rows.size() * vocab);
  ForwardLogits(model_, group, *scratch_,
                {logits.data(), static_cast<int64_t>(group.head_rows.size()), vocab, DType::kF32},
                machine_->stream);
  auto head_row = group.head_rows.begin();
  const float* row = logits.data();
  for (size_t i = 0; i < nodes.size(); ++i) {
    const int64_t end = group.spans[i].first_row + group.spans[i].rows;
    for (; head_row != group.head_rows.end() && *head_row < end; ++head_row, row += vocab) {
      logits_[nodes[i]].insert(logits_[nodes[i]].end(), row, row + vocab);
    }
  }
}

void TestForest::Forward(int64_t chunk) {
  for (int node = 0; node < static_cast<int>(nodes_.size()); ++node) {
    logits_[node].clear();
    const std::vector<int32_t>& tokens = nodes_[node].tokens;
    const int64_t count = static_cast<int64_t>(tokens.size());
    const int64_t step = chunk == 0 ? count : chunk;
    for (int64_t row = 0; row < count; row += step) {
      const int64_t rows = std::min(step, count - row);
      const int64_t record_row = record_->FirstRow(node) + row;
      ForwardGroup group;
      group.tokens.assign(tokens.begin() + row, tokens.begin() + row + rows);
      group.spans.push_back(Span(node, row, rows));
      group.head_rows = record_->HeadRows(record_row, rows);
      group.activations = record_->Activations(record_row, rows);
      Run(std::move(group), {node});
    }
  }
}

void TestForest::ForwardTogether(int first, int end, RowPhase phase) {
  ForwardGroup group;
  group.phase = phase;
  std::vector<int> nodes;
  for (int node = first; node < end; ++node) {
    const std::vector<int32_t>& tokens = nodes_[node].tokens;
    logits_[node].clear();
    nodes.push_back(node);
    group.spans.push_back(Span(node, 0, static_cast<int64_t>(tokens.size())));
    group.spans.back().first_row = group.rows();
    group.tokens.insert(group.tokens.end(), tokens.begin(), tokens.end());
  }
  const int64_t first_row = record_->FirstRow(first);
  group.head_rows = record_->HeadRows(first_row, group.rows());
  group.activations = record_->Activations(first_row, group.rows());
  Run(std::move(group), nodes);
}

std::vector<BackwardNode> TestForest::Nodes(int64_t piece_rows) const {
  std::vector<BackwardNode> nodes;
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i) {
    BackwardNode& node = nodes.emplace_back();
    node.parent = nodes_[i].parent;
    node.first_position = first_positions_[i];
    node.tokens = nodes_[i].tokens;
    node.adapter = nodes_[i].adapter;
    node.head_rows = nodes_[i].head_rows;
    for (const LayerPieces& layer : record_->Pieces(i)) {
      LayerPieces& cut = node.activations.emplace_back();
      for (int tensor = 0; tensor < kActivationTensors; ++tensor) {
        CutPieces(layer[tensor], piece_rows, cut[tensor]);
      }
    }
    for (const std::vector<KvRun>& layer : record_->Kv(i)) {
      node.kv.push_back(CutRuns(layer, piece_rows));
    }
  }
  return nodes;
}

TestGradients BackwardForTest(const Model& model, const std::vector<BackwardNode>& nodes,
                              const std::vector<TrainedToken>& trained, const std::vector<float>& c,
                              const LoraAdapter& like, TestMachine* machine,
                              int64_t lowest_trained_layer) {
  TestGradients gradients;
  gradients.adapter = std::make_unique<AdapterGradients>(like);
  BackwardOptions options;
  options.adapter_gradients = gradients.adapter.get();
  options.lowest_trained_layer = lowest_trained_layer;
  auto pass =
      BackwardPass::Create(model, nodes, trained, options, machine->device, machine->stream);
  CHECK(pass.ok()) << pass.status();
  const absl::Span<const float> log_probs = (*pass)->LogProbs();
  gradients.log_probs.assign(log_probs.begin(), log_probs.end());
  (*pass)->Run(c);
  return gradients;
}

std::vector<float> Flatten(AdapterGradients& gradients, int64_t lowest_layer) {
  std::vector<float> values;
  for (int64_t layer = lowest_layer; layer < gradients.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      for (const TensorView& t : {gradients.A(layer, linear), gradients.B(layer, linear)}) {
        const float* const data = static_cast<const float*>(t.data);
        values.insert(values.end(), data, data + t.rows * t.width);
      }
    }
  }
  return values;
}

std::vector<float> Flatten(const RowPieces& pieces) {
  std::vector<float> values;
  for (const ConstTensorView& piece : pieces.pieces()) {
    Scratch<float> scratch;
    const float* const data = AsF32(piece, scratch);
    values.insert(values.end(), data, data + piece.rows * piece.width);
  }
  return values;
}

}  // namespace alchemist
