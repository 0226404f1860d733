// StoreReader: the borrower's end. Maps what the server lent at attach and turns descriptors from
// the link into views, after checking every number in them: offsets, sizes, generations. Owned by
// the trainer; views are valid while it lives and the lease is held. One thread, but for the
// heartbeat.
#ifndef ALCHEMIST_ACTIVATION_STORE_READER_H_
#define ALCHEMIST_ACTIVATION_STORE_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "activation_store/attach.h"
#include "activation_store/control_pages.h"
#include "activation_store/record.h"
#include "base/status.h"
#include "kernels/shared_memory.h"
#include "kernels/tensor_view.h"

namespace alchemist {

struct KvPageView {
  ConstTensorView k;  // [rows, kv_width]
  ConstTensorView v;  // [rows, kv_width]
};

class StoreReader {
 public:
  // Connects, receives, maps and checks. Unavailable when no server listens; ResourceExhausted when
  // another trainer is attached; PermissionDenied when the users differ.
  static absl::StatusOr<std::unique_ptr<StoreReader>> Attach(const std::string& socket_path);

  const AttachReply& info() const { return info_; }
  // The arena's first word, read through this process's own mapping.
  uint64_t canary() const;
  int attach_socket() const { return socket_.get(); }  // Readable: the server closed the session.
  // The converted weights, once; nullopt when the server uses its files in place.
  std::optional<FileDescriptor> TakeConvertedWeights() { return std::move(converted_); }

  // OutOfRange or InvalidArgument naming the slot when it does not fit the arena or `width`;
  // FailedPrecondition when a page holds another generation: the lease is not what it was.
  absl::StatusOr<ConstTensorView> View(const TensorSlot& slot, int64_t width, DType dtype) const;
  absl::StatusOr<KvPageView> View(const KvPageSlot& slot, int64_t width, DType dtype) const;
  // Whether every page of a record's layer still holds the leased generation; asked after its last
  // use, before it is released and anything computed from it is committed (I9).
  absl::Status CheckGenerations(const RecordDescriptor& record, int64_t layer) const;

  const ServerPage& server_page() const;
  TrainerPage& trainer_page() const;

 private:
  StoreReader() = default;
  absl::Status CheckRange(uint64_t offset, uint64_t bytes, uint64_t generation,
                          uint32_t residency) const;

  AttachReply info_;
  FileDescriptor socket_;
  SharedMemory arena_;
  SharedMemory generations_;
  SharedMemory server_page_;
  SharedMemory trainer_page_;
  std::optional<FileDescriptor> converted_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_READER_H_
