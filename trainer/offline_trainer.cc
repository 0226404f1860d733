#include "trainer/offline_trainer.h"

#include <google/protobuf/util/json_util.h>

#include <map>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/logging.h"
#include "kernels/matmul.h"
#include "model/activation_layout.h"
#include "model/model.h"
#include "model/safetensors_writer.h"
#include "model/tokenizer.h"
#include "trainer/gradient_file.h"
#include "trainer/training_step.h"

namespace alchemist {
namespace {

constexpr int64_t kItemsBytesMax = int64_t{1} << 30;

using Adapters = std::map<std::string, std::unique_ptr<LoraAdapter>>;  // By digest.

bool IsHex(const std::string& digest) {
  return !digest.empty() && digest.find_first_not_of("0123456789abcdef") == std::string::npos;
}

struct OfflineBatch {
  std::vector<std::unique_ptr<TrainingItem>> items;
  std::vector<StepItem> step_items;
  Adapters adapters;
};

absl::Status AddItem(const std::string& line, const OfflineOptions& options, const Model& model,
                     const v1::Base& base, OfflineBatch& batch) {
  v1::FeedbackItem message;
  const auto parsed = google::protobuf::util::JsonStringToMessage(line, &message);
  if (!parsed.ok()) return absl::InvalidArgumentError(std::string(parsed.message()));
  ASSIGN_OR_RETURN(TrainingItem item, ParseItem(message, model.config(), base));
  const std::string& digest = message.record().revision().digest();
  if (!IsHex(digest)) return absl::InvalidArgumentError("record.revision.digest: not hex");
  std::unique_ptr<LoraAdapter>& adapter = batch.adapters[digest];
  if (adapter == nullptr) {
    ASSIGN_OR_RETURN(adapter, LoraAdapter::Load(absl::StrCat(options.adapters_dir, "/", digest),
                                                model.config()));
    if (adapter->digest() != digest) {
      return absl::DataLossError(absl::StrCat("adapter ", digest, ": has another digest"));
    }
  }
  batch.items.push_back(std::make_unique<TrainingItem>(std::move(item)));
  batch.step_items.push_back({batch.items.back().get(), adapter.get(), nullptr});
  return absl::OkStatus();
}

absl::StatusOr<OfflineBatch> ReadItems(const OfflineOptions& options, const Model& model,
                                       const v1::Base& base) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options.items_file, kItemsBytesMax));
  OfflineBatch batch;
  int64_t number = 0;
  for (const absl::string_view piece : absl::StrSplit(text, '\n')) {
    const std::string line(piece);
    ++number;
    if (line.empty()) continue;
    const absl::Status status = AddItem(line, options, model, base, batch);
    if (!status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat(options.items_file, ":", number, ": ", status.message()));
    }
  }
  if (batch.items.empty()) {
    return absl::InvalidArgumentError(options.items_file + ": has no items");
  }
  return batch;
}

}  // namespace

absl::Status RunOffline(const OfflineOptions& options, Device& device, Stream& stream) {
  ASSIGN_OR_RETURN(const std::unique_ptr<const Model> model,
                   Model::Load(options.model_directory, options.dtype));
  ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer,
                   Tokenizer::Load(options.model_directory));
  RETURN_IF_ERROR(MatmulSelfTest(model->MatmulShapes(), model->dtype()));
  v1::Base base;
  base.set_base_digest(model->base_digest());
  base.set_tokenizer_digest(tokenizer->digest());
  ASSIGN_OR_RETURN(const OfflineBatch batch, ReadItems(options, *model, base));
  const LoraAdapter& first = *batch.step_items[0].adapter;
  const ActivationLayout layout(model->config(), model->dtype(), first.config().lowest_layer);
  ASSIGN_OR_RETURN(
      const std::unique_ptr<TrainingStep> step,
      TrainingStep::Create(model.get(), &layout, options.forward_rows, &device, &stream));
  AdapterGradients gradients(first);
  ASSIGN_OR_RETURN(const StepOutcome outcome, step->Run(batch.step_items, &gradients, nullptr));
  LOG(INFO) << batch.items.size() << " items, loss " << outcome.loss;
  SafetensorsWriter writer;
  AddAdapterTensors("", first, gradients, writer);
  return writer.WriteSynced(options.output_file);
}

}  // namespace alchemist
