#include "tools/pretrain/pretrainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"

namespace alchemist {
namespace {

constexpr double kPi = 3.14159265358979323846;

bool WritesResidual(const std::string& name) {
  return absl::EndsWith(name, "o_proj.weight") || absl::EndsWith(name, "down_proj.weight");
}

}  // namespace

double LearningRateAt(const PretrainOptions& options, int64_t step, int64_t steps) {
  if (step <= options.warmup_steps) {
    return options.learning_rate * static_cast<double>(step) /
           static_cast<double>(options.warmup_steps);
  }
  const double share = static_cast<double>(step - options.warmup_steps) /
                       static_cast<double>(steps - options.warmup_steps);
  return options.learning_rate * 0.5 * (1.0 + std::cos(kPi * share));
}

absl::StatusOr<std::unique_ptr<Pretrainer>> Pretrainer::Create(const ModelConfig& config,
                                                               const PretrainOptions& options,
                                                               std::vector<TokenSequence> sequences,
                                                               Device* device, Stream* stream) {
  if (sequences.empty()) return absl::InvalidArgumentError("there is nothing to train on");
  int64_t rows = 0;
  for (const TokenSequence& sequence : sequences) rows = std::max(rows, sequence.rows());
  ASSIGN_OR_RETURN(std::unique_ptr<TrainableModel> model, TrainableModel::Create(config, *device));
  ASSIGN_OR_RETURN(ParameterSet gradient, ParameterSet::Create(config, *device));
  ASSIGN_OR_RETURN(ParameterSet first_moment, ParameterSet::Create(config, *device));
  ASSIGN_OR_RETURN(ParameterSet second_moment, ParameterSet::Create(config, *device));
  std::unique_ptr<Pretrainer> pretrainer(
      new Pretrainer(options, std::move(sequences), std::move(model), std::move(gradient),
                     std::move(first_moment), std::move(second_moment), stream));
  ASSIGN_OR_RETURN(pretrainer->full_gradient_,
                   FullGradient::Create(pretrainer->model_.get(), rows * options.batch_sequences,
                                        device, stream));
  pretrainer->DrawWeights();
  return pretrainer;
}

Pretrainer::Pretrainer(const PretrainOptions& options, std::vector<TokenSequence> sequences,
                       std::unique_ptr<TrainableModel> model, ParameterSet gradient,
                       ParameterSet first_moment, ParameterSet second_moment, Stream* stream)
    : options_(options),
      sequences_(std::move(sequences)),
      stream_(stream),
      model_(std::move(model)),
      gradient_(std::move(gradient)),
      first_moment_(std::move(first_moment)),
      second_moment_(std::move(second_moment)) {}

void Pretrainer::DrawWeights() {
  Random random(options_.seed);
  const double residual_scale = 1.0 / std::sqrt(2.0 * model_->config().layers);
  for (const ParameterSet::Named& parameter : model_->parameters().tensors()) {
    const bool norm = absl::EndsWith(parameter.name, "norm.weight");
    const double deviation = 0.02 * (WritesResidual(parameter.name) ? residual_scale : 1.0);
    for (int64_t row = 0; row < parameter.tensor.rows; ++row) {
      float* const values = parameter.tensor.Row<float>(row);
      for (int64_t i = 0; i < parameter.tensor.width; ++i) {
        const bool matrix = parameter.tensor.rows > 1;
        values[i] = matrix ? static_cast<float>(deviation * random.Normal()) : norm ? 1.0f : 0.0f;
      }
    }
  }
}

int64_t Pretrainer::steps() const {
  const int64_t count = static_cast<int64_t>(sequences_.size());
  return options_.epochs * ((count + options_.batch_sequences - 1) / options_.batch_sequences);
}

absl::Status Pretrainer::Run(const std::function<void(const Progress&)>& on_step) {
  Random random(options_.seed + 1);
  std::vector<const TokenSequence*> order;
  for (const TokenSequence& sequence : sequences_) order.push_back(&sequence);
  Progress progress;
  progress.steps = steps();
  for (progress.epoch = 1; progress.epoch <= options_.epochs; ++progress.epoch) {
    Shuffle(order, random);
    FullGradient::Loss epoch_loss;
    absl::Span<const TokenSequence* const> rest = order;
    while (!rest.empty()) {
      ASSIGN_OR_RETURN(
          const FullGradient::Loss loss,
          full_gradient_->Compute(
              rest.first(std::min<size_t>(rest.size(), options_.batch_sequences)), gradient_));
      RETURN_IF_ERROR(Update(++progress.step));
      epoch_loss.sum += loss.sum;
      epoch_loss.tokens += loss.tokens;
      progress.loss = epoch_loss.mean();
      on_step(progress);
      rest.remove_prefix(std::min<size_t>(rest.size(), options_.batch_sequences));
    }
  }
  return absl::OkStatus();
}

absl::Status Pretrainer::Update(int64_t step) {
  double squares = 0;
  for (const ParameterSet::Named& gradient : gradient_.tensors()) {
    squares += SumOfSquares(gradient.tensor);
  }
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) {
    return absl::InternalError(absl::StrCat("the gradient of step ", step, " is not finite"));
  }
  AdamWOptions adamw = options_.adamw;
  adamw.learning_rate = LearningRateAt(options_, step, steps());
  const double scale = -std::min(1.0, options_.gradient_norm_max / norm);  // AdamW descends.
  for (size_t i = 0; i < gradient_.tensors().size(); ++i) {
    const TensorView weights = model_->parameters().tensors()[i].tensor;
    AdamWOptions own = adamw;
    if (weights.rows == 1) own.weight_decay = 0;  // Norms and biases.
    AdamWStep(own, step, scale, gradient_.tensors()[i].tensor, weights,
              first_moment_.tensors()[i].tensor, second_moment_.tensors()[i].tensor, *stream_);
  }
  return absl::OkStatus();
}

}  // namespace alchemist
