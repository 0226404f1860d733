#include "tools/bench/leased_records.h"

#include <utility>

#include "activation_store/control_pages.h"

namespace alchemist {
namespace {

constexpr uint64_t kSessionEpoch = 1;

}  // namespace

absl::StatusOr<std::unique_ptr<LeasedRecords>> LeasedRecords::Attach(
    InProcessServer* server, const std::string& socket_path) {
  std::unique_ptr<LeasedRecords> records(new LeasedRecords(server));
  ASSIGN_OR_RETURN(records->server_page_,
                   SharedMemory::Create("alchemist-bench-page", kControlPageBytes));
  const ActivationStore& store = server->store();
  AttachListener::Options listen;
  listen.socket_path = socket_path;
  listen.reply.arena_bytes = store.arena().bytes();
  listen.reply.page_bytes = StoreOptions().page_bytes;
  listen.reply.generations_bytes = store.generations().bytes();
  listen.fds = {store.arena().fd(), store.generations().fd(), records->server_page_.fd()};
  listen.on_event = [](AttachEvent) {};
  ASSIGN_OR_RETURN(records->listener_, AttachListener::Create(std::move(listen)));
  records->listener_->Start();
  ASSIGN_OR_RETURN(records->reader_, StoreReader::Attach(socket_path));
  return records;
}

absl::StatusOr<RecordDescriptor> LeasedRecords::Lease(uint64_t record_id) {
  return server_->store().Lease(record_id, kSessionEpoch);
}

absl::StatusOr<RecordView> LeasedRecords::Map(const RecordDescriptor& descriptor) const {
  ASSIGN_OR_RETURN(ServedRecord record,
                   MapServedRecord(*reader_, descriptor, server_->layout(), descriptor.tokens,
                                   /*response_rows=*/0));
  return std::move(record.prompt);
}

LeasedRecords::~LeasedRecords() { server_->store().EndSession(kSessionEpoch); }

}  // namespace alchemist
