#include "trainer/record_view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

const TensorSlot* FindSlot(const std::vector<TensorSlot>& slots, ActivationTensor tensor) {
  for (const TensorSlot& slot : slots) {
    if (slot.tensor == static_cast<uint32_t>(tensor)) return &slot;
  }
  return nullptr;
}

// `head_rows`: the last rows of the run that have the last layer's tensors.
absl::Status MapRun(const StoreReader& reader, const RunDescriptor& run,
                    const ActivationLayout& layout, int64_t head_rows, RecordView& view) {
  for (int64_t layer = 0; layer <= layout.layers(); ++layer) {
    for (const TensorSpec& spec : layout.layer(layer)) {
      const int64_t wanted = spec.head_rows_only ? head_rows : run.rows;
      if (wanted == 0) continue;
      const TensorSlot* slot = layer < static_cast<int64_t>(run.layers.size())
                                   ? FindSlot(run.layers[layer], spec.tensor)
                                   : nullptr;
      if (slot == nullptr || slot->rows != wanted || slot->first_row != run.rows - wanted) {
        return absl::InvalidArgumentError(
            absl::StrCat("record: layer ", layer, " ", ActivationTensorName(spec.tensor), " has ",
                         slot == nullptr ? 0 : slot->rows, " rows, not ", wanted));
      }
      ASSIGN_OR_RETURN(const ConstTensorView rows, reader.View(*slot, spec.width, spec.dtype));
      view.activations[layer][static_cast<size_t>(spec.tensor)].Append(rows);
    }
  }
  return absl::OkStatus();
}

// A prompt's only head row is its last; all rows of an answer are head rows.
absl::Status MapRuns(const StoreReader& reader, const RecordDescriptor& descriptor,
                     const ActivationLayout& layout, int64_t prompt_rows, ServedRecord& record) {
  int64_t next = 0;
  for (const RunDescriptor& run : descriptor.runs) {
    const bool of_prompt = next < prompt_rows;
    const int64_t rows_left = (of_prompt ? prompt_rows : descriptor.tokens) - next;
    if (run.first_position != next || run.rows <= 0 || run.rows > rows_left) {
      return absl::InvalidArgumentError(
          absl::StrCat("record: run of ", run.rows, " rows at position ", run.first_position));
    }
    const int64_t prompt_head_rows = run.rows == rows_left ? 1 : 0;
    RETURN_IF_ERROR(MapRun(reader, run, layout, of_prompt ? prompt_head_rows : run.rows,
                           of_prompt ? record.prompt : *record.response));
    next += run.rows;
  }
  if (next == descriptor.tokens) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("record: runs end at position ", next));
}

// Appends the rows [first, first + rows) of a page.
void AppendKv(const KvPageView& page, int64_t first, int64_t rows, int64_t first_position,
              std::vector<KvRun>& kv) {
  if (rows > 0) kv.push_back({page.k.Rows(first, rows), page.v.Rows(first, rows), first_position});
}

// A page can hold the end of the prompt and the beginning of the answer.
absl::Status MapKv(const StoreReader& reader, const RecordDescriptor& descriptor,
                   const ActivationLayout& layout, int64_t prompt_rows, ServedRecord& record) {
  std::vector<int64_t> next(layout.layers(), 0);  // By layer: the first position not yet mapped.
  for (const KvPageSlot& slot : descriptor.kv_pages) {
    if (slot.layer < 0 || slot.layer >= layout.layers() ||
        slot.first_position != next[slot.layer] ||
        slot.rows > descriptor.tokens - slot.first_position) {
      return absl::InvalidArgumentError(absl::StrCat("record: K/V page of layer ", slot.layer,
                                                     " at position ", slot.first_position));
    }
    ASSIGN_OR_RETURN(const KvPageView page, reader.View(slot, layout.kv_width(), layout.dtype()));
    const int64_t of_prompt = std::clamp<int64_t>(prompt_rows - slot.first_position, 0, slot.rows);
    AppendKv(page, 0, of_prompt, slot.first_position, record.prompt.kv[slot.layer]);
    if (of_prompt < slot.rows) {
      AppendKv(page, of_prompt, slot.rows - of_prompt, slot.first_position + of_prompt,
               record.response->kv[slot.layer]);
    }
    next[slot.layer] += slot.rows;
  }
  for (int64_t layer = 0; layer < layout.layers(); ++layer) {
    if (next[layer] != descriptor.tokens) {
      return absl::InvalidArgumentError(absl::StrCat("record: layer ", layer, " has K/V of ",
                                                     next[layer], " tokens, not ",
                                                     descriptor.tokens));
    }
  }
  return absl::OkStatus();
}

RecordView EmptyView(const ActivationLayout& layout) {
  RecordView view;
  view.activations.resize(layout.layers() + 1);
  view.kv.resize(layout.layers());
  return view;
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

absl::StatusOr<ServedRecord> MapServedRecord(const StoreReader& reader,
                                             const RecordDescriptor& descriptor,
                                             const ActivationLayout& layout, int64_t prompt_rows,
                                             int64_t response_rows) {
  const bool with_answer = response_rows > 0 && descriptor.tokens == prompt_rows + response_rows;
  if (descriptor.tokens != prompt_rows && !with_answer) {
    return absl::InvalidArgumentError(absl::StrCat("record: ", descriptor.tokens,
                                                   " tokens, the prompt has ", prompt_rows,
                                                   ", the answer ", response_rows));
  }
  ServedRecord record;
  record.prompt = EmptyView(layout);
  if (with_answer) record.response = EmptyView(layout);
  RETURN_IF_ERROR(MapRuns(reader, descriptor, layout, prompt_rows, record));
  RETURN_IF_ERROR(MapKv(reader, descriptor, layout, prompt_rows, record));
  return record;
}

RecordView ViewOwnRecord(const OwnRecord& record, int part) {
  return {record.Pieces(part), record.Kv(part)};
}

}  // namespace alchemist
