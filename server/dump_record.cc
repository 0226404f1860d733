#include "server/dump_record.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "activation_store/store.h"
#include "server/call_metadata.h"
#include "server/link_messages.h"
#include "server/record_summary.h"

namespace alchemist {
namespace {

// A record that is pinned for as long as this object lives, also when the call fails.
class PinnedRecord {
 public:
  explicit PinnedRecord(ServingLoop* loop) : loop_(loop) {}
  PinnedRecord(const PinnedRecord&) = delete;
  PinnedRecord& operator=(const PinnedRecord&) = delete;
  // The caller's answer comes after the unpin, so that whoever reads it finds the record as it was.
  ~PinnedRecord() {
    if (!look_.has_value()) return;
    const auto end = [loop = loop_, id = look_->descriptor.record_id] {
      loop->store().EndLook(id);
    };
    const absl::Status ended = loop_->Call([&] {
      end();
      return absl::OkStatus();
    });
    if (!ended.ok()) loop_->PostInternal(end);  // The queue for clients is full, or closed.
  }

  absl::Status Pin(const std::string& id) {
    return loop_->Call([&]() -> absl::Status {
      ASSIGN_OR_RETURN(const uint64_t record_id, Resolve(id));
      absl::StatusOr<ActivationStore::RecordLook> look = loop_->store().BeginLook(record_id);
      if (!look.ok()) {
        return absl::Status(look.status().code(), absl::StrCat(id, ": ", look.status().message()));
      }
      look_ = *std::move(look);
      return absl::OkStatus();
    });
  }
  const ActivationStore::RecordLook& look() const { return *look_; }

 private:
  // On the loop's thread.
  absl::StatusOr<uint64_t> Resolve(const std::string& id) const {
    uint64_t record_id = 0;
    if (absl::SimpleAtoi(id, &record_id)) return record_id;
    const CompletionRecords records = loop_->feed().RecordsOf(id);
    if (records.prompt == 0) {
      return absl::NotFoundError(absl::StrCat(
          id, ": no record of such a completion is known: there was none, or it is long gone"));
    }
    return loop_->store().Holds(records.response) ? records.response : records.prompt;
  }

  ServingLoop* const loop_;
  std::optional<ActivationStore::RecordLook> look_;
};

void SetHeader(const ActivationStore::RecordLook& look, v1::DumpRecordResponse& response) {
  const RecordDescriptor& record = look.descriptor;
  const RecordIdentity& identity = record.identity;
  response.set_record_id(record.record_id);
  response.set_state(look.leases > 0 ? v1::RECORD_STATE_LEASED : v1::RECORD_STATE_SEALED);
  response.set_has_tenant(!identity.tenant.empty());
  *response.mutable_base() = ToMessage(BaseId{identity.base_digest, identity.tokenizer_digest});
  *response.mutable_revision() = ToMessage(RevisionId{
      identity.adapter_id, static_cast<int64_t>(identity.revision), identity.revision_digest});
  response.set_parent_record(record.parent_record);
  response.set_parent_tokens(record.parent_tokens);
  response.set_tokens(record.tokens);
  response.set_is_answer(look.is_response);
  response.set_pins(look.pins);
  response.set_leases(look.leases);
}

v1::TensorDump ToMessage(const RecordedTensor& tensor) {
  v1::TensorDump message;
  message.set_layer(tensor.layer);
  message.set_name(tensor.name);
  message.set_rows(tensor.rows);
  message.set_width(tensor.width);
  message.set_dtype(DTypeName(tensor.dtype));
  if (tensor.summary.finite > 0) {
    message.set_min(tensor.summary.min);
    message.set_max(tensor.summary.max);
  }
  message.set_l2_norm(tensor.summary.l2_norm());
  message.set_nonfinite(tensor.summary.nonfinite);
  return message;
}

}  // namespace

absl::StatusOr<v1::DumpRecordResponse> DumpRecord(ServingLoop& loop, const std::string& id,
                                                  const std::function<bool()>& stop) {
  if (id.empty() || static_cast<int64_t>(id.size()) > kIdBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("id: ", id.size(), " bytes, allowed are 1 to ", kIdBytesMax));
  }
  PinnedRecord record(&loop);
  RETURN_IF_ERROR(record.Pin(id));
  v1::DumpRecordResponse response;
  SetHeader(record.look(), response);
  ASSIGN_OR_RETURN(
      const std::vector<RecordedTensor> tensors,
      SummarizeRecord(record.look().descriptor, loop.layout(), loop.store().arena().data(), stop));
  for (const RecordedTensor& tensor : tensors) *response.add_tensors() = ToMessage(tensor);
  return response;
}

}  // namespace alchemist
