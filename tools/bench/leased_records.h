// LeasedRecords: what an InProcessServer recorded, as a trainer reads it: leased, and mapped
// through a reader that attached over the socket. One thread, but for the listener's own.
#ifndef ALCHEMIST_TOOLS_BENCH_LEASED_RECORDS_H_
#define ALCHEMIST_TOOLS_BENCH_LEASED_RECORDS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "activation_store/attach_listener.h"
#include "activation_store/reader.h"
#include "base/status.h"
#include "kernels/shared_memory.h"
#include "tools/bench/in_process_server.h"
#include "trainer/record_view.h"

namespace alchemist {

class LeasedRecords {
 public:
  // `server` must outlive this.
  static absl::StatusOr<std::unique_ptr<LeasedRecords>> Attach(InProcessServer* server,
                                                               const std::string& socket_path);

  // Leases a record; it stays until this object goes.
  absl::StatusOr<RecordDescriptor> Lease(uint64_t record_id);
  absl::StatusOr<RecordView> Map(const RecordDescriptor& descriptor) const;
  ~LeasedRecords();

 private:
  explicit LeasedRecords(InProcessServer* server) : server_(server) {}

  InProcessServer* const server_;
  SharedMemory server_page_;
  std::unique_ptr<AttachListener> listener_;
  std::unique_ptr<StoreReader> reader_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_LEASED_RECORDS_H_
