// Logits, losses and every gradient against PyTorch: model/testdata, made by tools/reference.py.
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "base/logging.h"
#include "gtest/gtest.h"
#include "kernels/adamw.h"
#include "kernels/testing.h"
#include "model/backward.h"
#include "model/config.h"
#include "model/lora_adapter.h"
#include "model/model.h"
#include "model/pass_testing.h"
#include "model/safetensors.h"
#include "model/trainable_model.h"

namespace alchemist {
namespace {

constexpr double kRelativeErrorMax = 1e-4;  // What the project promises of f32 against PyTorch.

template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  CHECK(value.ok()) << value.status();
  return *std::move(value);
}

// One family's files.
class Golden {
 public:
  explicit Golden(ModelFamily family)
      : directory_(absl::StrCat("model/testdata/", ModelTypeName(family))),
        model_(ValueOrDie(Model::Load(directory_))),
        adapter_(ValueOrDie(LoraAdapter::Load(directory_ + "/adapter", model_->config()))),
        tensors_(ValueOrDie(SafetensorsFile::Open(directory_ + "/golden.safetensors"))) {
    const std::string path = directory_ + "/golden.json";
    json_ = ValueOrDie(ParseJson(ValueOrDie(ReadFile(path, 1 << 20)), path));
  }

  const Model& model() const { return *model_; }
  const LoraAdapter& adapter() const { return *adapter_; }
  const SafetensorsFile& tensors() const { return tensors_; }
  std::vector<int32_t> ids() const { return json_["ids"].get<std::vector<int32_t>>(); }
  int64_t prompt_length() const { return json_["prompt_length"].get<int64_t>(); }
  std::vector<double> Losses(const char* key) const {
    return json_[key].get<std::vector<double>>();
  }
  AdamWOptions Optimizer(const char* key) const {
    const nlohmann::json& json = json_[key];
    return {json["lr"].get<double>(), json["betas"][0].get<double>(),
            json["betas"][1].get<double>(), json["eps"].get<double>(),
            json["weight_decay"].get<double>()};
  }
  std::vector<double> Tensor(const std::string& name) const {
    const SafetensorsTensor* const tensor = tensors_.Find(name);
    CHECK(tensor != nullptr) << name;
    std::vector<float> values(tensor->elements);
    std::memcpy(values.data(), tensor->data, tensor->bytes());
    return {values.begin(), values.end()};
  }

 private:
  const std::string directory_;
  const std::unique_ptr<const Model> model_;
  const std::unique_ptr<LoraAdapter> adapter_;
  const SafetensorsFile tensors_;
  nlohmann::json json_;
};

class GoldenTest : public testing::TestWithParam<ModelFamily> {
 protected:
  GoldenTest() : golden_(GetParam()), ids_(golden_.ids()) {}

  // The mean NLL of ids_[first:]; adds its gradients. All rows go through one node.
  double Loss(const Model& model, const LoraAdapter* adapter, int64_t first,
              BackwardOptions options) {
    const int64_t count = static_cast<int64_t>(ids_.size()) - first;
    TestNode text = {-1, {ids_.begin(), ids_.end() - 1}, {}, adapter};
    std::vector<TrainedToken> trained;
    for (int64_t i = 0; i < count; ++i) {
      text.head_rows.push_back(static_cast<int32_t>(first - 1 + i));
      trained.push_back({0, i, ids_[first + i]});
    }
    TestForest forest(model, {text}, &machine_);
    forest.Forward(0);
    const std::vector<BackwardNode> nodes = forest.Nodes();
    const auto pass = ValueOrDie(
        BackwardPass::Create(model, nodes, trained, options, machine_.device, machine_.stream));
    pass->Run(std::vector<float>(count, -1.0f / static_cast<float>(count)));
    log_probs_.assign(pass->LogProbs().begin(), pass->LogProbs().end());
    double loss = 0;
    for (const float log_prob : log_probs_) loss -= log_prob / static_cast<double>(count);
    return loss;
  }

  void ExpectClose(const std::string& name, const std::vector<float>& got) {
    EXPECT_LT(RelativeError(got, golden_.Tensor(name)), kRelativeErrorMax) << name;
  }

  // Ten times: the loss, then an update of every parameter.
  void ExpectLosses(const char* kind, const std::function<double()>& loss_and_gradients,
                    const std::vector<TensorView>& weights,
                    const std::vector<TensorView>& gradients) {
    const AdamWOptions optimizer = golden_.Optimizer(absl::StrCat(kind, "_optimizer").c_str());
    std::vector<TestMatrix> first_moments, second_moments;
    for (const TensorView& weight : weights) {
      first_moments.emplace_back(weight.rows, weight.width);
      second_moments.emplace_back(weight.rows, weight.width);
    }
    int64_t step = 0;
    for (const double wanted : golden_.Losses(absl::StrCat(kind, "_losses").c_str())) {
      ++step;
      const double loss = loss_and_gradients();
      EXPECT_LT(std::abs(loss - wanted) / wanted, kRelativeErrorMax) << kind << " step " << step;
      for (size_t i = 0; i < weights.size(); ++i) {
        AdamWStep(optimizer, step, 1.0, gradients[i], weights[i], first_moments[i].view(),
                  second_moments[i].view(), machine_.stream);
      }
    }
    EXPECT_EQ(step, 10);
  }

  const Golden golden_;
  const std::vector<int32_t> ids_;
  TestMachine machine_;
  std::vector<float> log_probs_;
};

TEST_P(GoldenTest, LogitsOfEveryPosition) {
  TestNode text = {-1, ids_, {}, &golden_.adapter()};
  for (size_t row = 0; row < ids_.size(); ++row) {
    text.head_rows.push_back(static_cast<int32_t>(row));
  }
  TestForest forest(golden_.model(), {text}, &machine_);
  forest.Forward(16);
  ExpectClose("logits", forest.Logits(0));
}

TEST_P(GoldenTest, AdapterGradients) {
  AdapterGradients gradients(golden_.adapter());
  BackwardOptions options;
  options.adapter_gradients = &gradients;
  Loss(golden_.model(), &golden_.adapter(), golden_.prompt_length(), options);
  ExpectClose("log_probs", log_probs_);
  for (int64_t layer = 0; layer < gradients.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      const std::string name =
          absl::StrCat("lora.base_model.model.model.layers.", layer, ".", LinearModule(linear));
      ExpectClose(name + ".lora_A.weight", Flatten(gradients.A(layer, linear)));
      ExpectClose(name + ".lora_B.weight", Flatten(gradients.B(layer, linear)));
    }
  }
}

TEST_P(GoldenTest, FullGradients) {
  ParameterSet gradients =
      ValueOrDie(ParameterSet::Create(golden_.model().config(), machine_.device));
  BackwardOptions options;
  options.full_gradients = &gradients;
  Loss(golden_.model(), nullptr, 1, options);
  for (const ParameterSet::Named& gradient : gradients.tensors()) {
    ExpectClose("full." + gradient.name, Flatten(gradient.tensor));
  }
}

TEST_P(GoldenTest, TenAdapterSteps) {
  const std::unique_ptr<LoraAdapter> adapter = golden_.adapter().Clone();
  AdapterGradients gradients(*adapter);
  std::vector<TensorView> weight_views, gradient_views;
  for (int64_t layer = 0; layer < gradients.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      weight_views.push_back(adapter->MutableA(layer, linear));
      weight_views.push_back(adapter->MutableB(layer, linear));
      gradient_views.push_back(gradients.A(layer, linear));
      gradient_views.push_back(gradients.B(layer, linear));
    }
  }
  BackwardOptions options;
  options.adapter_gradients = &gradients;
  const auto loss = [&] {
    gradients.SetZero();
    return Loss(golden_.model(), adapter.get(), golden_.prompt_length(), options);
  };
  ExpectLosses("lora", loss, weight_views, gradient_views);
}

TEST_P(GoldenTest, TenFullSteps) {
  const auto model = ValueOrDie(TrainableModel::Create(golden_.model().config(), machine_.device));
  model->CopyWeights(golden_.model());
  ParameterSet gradients = ValueOrDie(ParameterSet::Create(model->config(), machine_.device));
  std::vector<TensorView> weight_views, gradient_views;
  for (size_t i = 0; i < gradients.tensors().size(); ++i) {
    weight_views.push_back(model->parameters().tensors()[i].tensor);
    gradient_views.push_back(gradients.tensors()[i].tensor);
  }
  BackwardOptions options;
  options.full_gradients = &gradients;
  const auto loss = [&] {
    for (const TensorView& view : gradient_views) std::memset(view.data, 0, view.bytes());
    return Loss(*model, nullptr, 1, options);
  };
  ExpectLosses("full", loss, weight_views, gradient_views);
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenTest, testing::ValuesIn(kFamiliesForTest));

}  // namespace
}  // namespace alchemist
