#include "trainer/prompt_record.h"

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

const TensorSlot* FindSlot(const std::vector<TensorSlot>& slots, ActivationTensor tensor) {
  for (const TensorSlot& slot : slots) {
    if (slot.tensor == static_cast<uint32_t>(tensor)) return &slot;
  }
  return nullptr;
}

// Rows of a run that a tensor holds: all, or the run's head rows; a prompt's only head row is its
// last.
int64_t RowsOf(const TensorSpec& spec, const RunDescriptor& run, int64_t prompt_rows) {
  if (!spec.head_rows_only) return run.rows;
  return run.first_position + run.rows == prompt_rows ? 1 : 0;
}

absl::Status MapRun(const StoreReader& reader, const RunDescriptor& run,
                    const ActivationLayout& layout, int64_t rows,
                    std::vector<LayerPieces>& activations) {
  for (int64_t layer = 0; layer <= layout.layers(); ++layer) {
    for (const TensorSpec& spec : layout.layer(layer)) {
      const int64_t wanted = RowsOf(spec, run, rows);
      if (wanted == 0) continue;
      const TensorSlot* slot = layer < static_cast<int64_t>(run.layers.size())
                                   ? FindSlot(run.layers[layer], spec.tensor)
                                   : nullptr;
      if (slot == nullptr || slot->rows != wanted || slot->first_row != run.rows - wanted) {
        return absl::InvalidArgumentError(
            absl::StrCat("record: layer ", layer, " ", ActivationTensorName(spec.tensor), " has ",
                         slot == nullptr ? 0 : slot->rows, " rows, not ", wanted));
      }
      ASSIGN_OR_RETURN(const ConstTensorView view, reader.View(*slot, spec.width, spec.dtype));
      activations[layer][static_cast<size_t>(spec.tensor)].Append(view);
    }
  }
  return absl::OkStatus();
}

absl::Status MapKv(const StoreReader& reader, const RecordDescriptor& descriptor,
                   const ActivationLayout& layout, int64_t rows,
                   std::vector<std::vector<KvRun>>& kv) {
  std::vector<int64_t> next(layout.layers(), 0);  // By layer: the first position not yet mapped.
  for (const KvPageSlot& slot : descriptor.kv_pages) {
    if (slot.layer < 0 || slot.layer >= layout.layers() ||
        slot.first_position != next[slot.layer]) {
      return absl::InvalidArgumentError(absl::StrCat("record: K/V page of layer ", slot.layer,
                                                     " at position ", slot.first_position));
    }
    ASSIGN_OR_RETURN(const KvPageView page, reader.View(slot, layout.kv_width(), layout.dtype()));
    kv[slot.layer].push_back({page.k, page.v, slot.first_position});
    next[slot.layer] += slot.rows;
  }
  for (int64_t layer = 0; layer < layout.layers(); ++layer) {
    if (next[layer] != rows) {
      return absl::InvalidArgumentError(absl::StrCat("record: layer ", layer, " has K/V of ",
                                                     next[layer], " tokens, not ", rows));
    }
  }
  return absl::OkStatus();
}

}  // namespace

RecordDescriptor DescriptorOf(const v1::RecordRef& message) {
  RecordDescriptor descriptor;
  descriptor.lease_id = message.lease_id();
  descriptor.record_id = message.record_id();
  descriptor.identity.adapter_id = message.revision().adapter_id();
  descriptor.identity.revision = message.revision().number();
  descriptor.identity.revision_digest = message.revision().digest();
  descriptor.parent_record = message.parent_record();
  descriptor.parent_tokens = message.parent_tokens();
  descriptor.tokens = message.tokens();
  for (const v1::RunRef& run_ref : message.runs()) {
    RunDescriptor& run = descriptor.runs.emplace_back();
    run.first_position = run_ref.first_position();
    run.rows = run_ref.rows();
    for (const v1::LayerRef& layer_ref : run_ref.layers()) {
      // A layer number that no model has is dropped here, and missed when the record is mapped.
      constexpr int64_t kLayersMax = 4096;
      if (layer_ref.layer() < 0 || layer_ref.layer() >= kLayersMax) continue;
      if (layer_ref.layer() >= static_cast<int64_t>(run.layers.size())) {
        run.layers.resize(layer_ref.layer() + 1);
      }
      for (const v1::TensorRef& ref : layer_ref.tensors()) {
        run.layers[layer_ref.layer()].push_back({ref.tensor(), ref.residency(), ref.offset(),
                                                 ref.bytes(), ref.generation(), ref.first_row(),
                                                 ref.rows()});
      }
    }
  }
  for (const v1::KvPageRef& ref : message.kv_pages()) {
    descriptor.kv_pages.push_back({ref.layer(), ref.first_position(), ref.rows(), ref.offset(),
                                   ref.bytes(), ref.generation(), ref.residency()});
  }
  return descriptor;
}

absl::StatusOr<PromptRecord> MapServedRecord(const StoreReader& reader,
                                             const RecordDescriptor& descriptor,
                                             const ActivationLayout& layout, int64_t rows) {
  if (descriptor.tokens != rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("record: ", descriptor.tokens, " tokens, the prompt has ", rows));
  }
  PromptRecord record;
  record.activations.resize(layout.layers() + 1);
  record.kv.resize(layout.layers());
  int64_t next = 0;
  for (const RunDescriptor& run : descriptor.runs) {
    if (run.first_position != next || run.rows <= 0 || run.rows > rows - next) {
      return absl::InvalidArgumentError(
          absl::StrCat("record: run of ", run.rows, " rows at position ", run.first_position));
    }
    RETURN_IF_ERROR(MapRun(reader, run, layout, rows, record.activations));
    next += run.rows;
  }
  if (next != rows) {
    return absl::InvalidArgumentError(absl::StrCat("record: runs end at position ", next));
  }
  RETURN_IF_ERROR(MapKv(reader, descriptor, layout, rows, record.kv));
  return record;
}

PromptRecord ViewOwnRecord(const OwnRecord& record, int part) {
  return {record.Pieces(part), record.Kv(part)};
}

}  // namespace alchemist
