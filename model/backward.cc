#include "model/backward.h"

#include <utility>

#include "base/logging.h"
#include "kernels/embedding.h"
#include "model/backward_batch.h"
#include "model/backward_head.h"
#include "model/backward_layer.h"
#include "model/backward_scratch.h"
#include "model/packed_rows.h"

namespace alchemist {
namespace {

class BackwardPassImpl : public BackwardPass {
 public:
  BackwardPassImpl(const Model& model, PackedRows rows, BackwardScratch scratch,
                   const std::vector<TrainedToken>& trained, BackwardOptions options,
                   Stream& stream)
      : model_(model),
        options_(std::move(options)),
        rows_(std::move(rows)),
        scratch_(std::move(scratch)),
        trained_count_(trained.size()),
        batch_{model_, options_, rows_, scratch_, stream},
        head_(batch_, trained) {}

  absl::Span<const float> LogProbs() override {
    return trained_count_ == 0 ? absl::Span<const float>() : head_.LogProbs();
  }

  void Run(absl::Span<const float> c) override {
    CHECK_EQ(c.size(), trained_count_);
    CHECK(!run_) << "a pass runs once";
    run_ = true;
    const bool has_gradient = trained_count_ > 0;
    if (has_gradient) head_.Run(c);
    LayerDone(model_.config().layers);
    for (int64_t layer = model_.config().layers - 1; layer >= options_.lowest_trained_layer;
         --layer) {
      if (has_gradient) LayerBackward(batch_, layer).Run();
      LayerDone(layer);
    }
    ParameterSet* const full = options_.full_gradients;
    if (has_gradient && full != nullptr) {
      EmbeddingBackward(rows_.tokens(), scratch_.dx, full->Writable(full->weights().embedding),
                        batch_.stream);
    }
  }

 private:
  void LayerDone(int64_t layer) {
    if (options_.layer_done) options_.layer_done(layer);
  }

  const Model& model_;
  const BackwardOptions options_;
  const PackedRows rows_;
  const BackwardScratch scratch_;
  const size_t trained_count_;
  const BackwardBatch batch_;  // Refers to the members above.
  HeadBackward head_;
  bool run_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BackwardPass>> BackwardPass::Create(
    const Model& model, const std::vector<BackwardNode>& nodes,
    const std::vector<TrainedToken>& trained, BackwardOptions options, Device& device,
    Stream& stream) {
  CHECK(options.full_gradients == nullptr || options.lowest_trained_layer == 0)
      << "full gradients are of every layer";
  PackedRows rows(model.config(), model.dtype(), nodes, options.lowest_trained_layer);
  ASSIGN_OR_RETURN(
      BackwardScratch scratch,
      BackwardScratch::Create(model.config(), model.dtype(), rows.all().rows(), rows.heads().rows(),
                              static_cast<int64_t>(trained.size()), device));
  return std::make_unique<BackwardPassImpl>(model, std::move(rows), std::move(scratch), trained,
                                            std::move(options), stream);
}

}  // namespace alchemist
