#include "trainer/optimizer.h"

#include <cmath>
#include <utility>

#include "base/logging.h"

namespace alchemist {
namespace {

// Calls visit(tensor of each of `sets`) for every A, then B, of every layer and target, in order.
template <typename Visit>
void ForEachTensor(LoraAdapter& adapter, Visit visit) {
  for (int64_t layer = 0; layer < adapter.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      if (adapter.View(layer, linear).a.data == nullptr) continue;
      visit(layer, linear, &AdapterGradients::A, adapter.MutableA(layer, linear));
      visit(layer, linear, &AdapterGradients::B, adapter.MutableB(layer, linear));
    }
  }
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options, std::unique_ptr<LoraAdapter> adapter)
    : options_(options),
      adapter_(std::move(adapter)),
      first_moment_(*adapter_),
      second_moment_(*adapter_) {}

Optimizer::Optimizer(const OptimizerOptions& options, std::unique_ptr<LoraAdapter> adapter,
                     AdapterGradients first_moment, AdapterGradients second_moment, int64_t steps)
    : options_(options),
      adapter_(std::move(adapter)),
      first_moment_(std::move(first_moment)),
      second_moment_(std::move(second_moment)),
      steps_(steps) {}

Optimizer::Update Optimizer::Apply(AdapterGradients& ascent, Stream& stream) {
  Update update;
  double squares = 0;
  ForEachTensor(*adapter_, [&](int64_t layer, Linear linear, auto member, TensorView) {
    squares += SumOfSquares((ascent.*member)(layer, linear));
  });
  update.gradient_norm = std::sqrt(squares);
  if (!std::isfinite(update.gradient_norm)) return update;
  double scale = -1.0;  // AdamW descends.
  if (update.gradient_norm > options_.gradient_norm_max) {
    scale *= options_.gradient_norm_max / update.gradient_norm;
  }
  ++steps_;
  double change = 0;
  ForEachTensor(*adapter_, [&](int64_t layer, Linear linear, auto member, TensorView weights) {
    change += AdamWStep(options_.adamw, steps_, scale, (ascent.*member)(layer, linear), weights,
                        (first_moment_.*member)(layer, linear),
                        (second_moment_.*member)(layer, linear), stream);
  });
  update.applied = true;
  update.update_norm = std::sqrt(change);
  update.adapter_norm = AdapterNorm();
  return update;
}

double Optimizer::AdapterNorm() const {
  double squares = 0;
  for (int64_t layer = 0; layer < adapter_->layers(); ++layer) {
    for (const Linear linear : kLinears) {
      const LoraView view = adapter_->View(layer, linear);
      if (view.a.data == nullptr) continue;
      squares += SumOfSquares(view.a) + SumOfSquares(view.b);
    }
  }
  return std::sqrt(squares);
}

}  // namespace alchemist
