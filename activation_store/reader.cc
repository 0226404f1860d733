#include "activation_store/reader.h"

#include <atomic>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/packet.h"

namespace alchemist {
namespace {

constexpr int64_t kAttachTimeoutUs = 5'000'000;

bool Terminated(absl::Span<const char> field) {
  return std::memchr(field.data(), '\0', field.size()) != nullptr;
}

absl::Status CheckReply(const Packet& packet, AttachReply& reply) {
  if (packet.bytes.size() != sizeof(AttachReply)) {
    return absl::InvalidArgumentError(absl::StrCat("attach reply: ", packet.bytes.size(),
                                                   " bytes, expected ", sizeof(AttachReply)));
  }
  std::memcpy(static_cast<void*>(&reply), packet.bytes.data(), sizeof(reply));
  if (reply.magic != kAttachMagic || reply.version != kAttachVersion) {
    return absl::FailedPreconditionError(absl::StrCat("attach reply: version ", reply.version,
                                                      ", this trainer speaks ", kAttachVersion));
  }
  switch (reply.status) {
    case AttachStatus::kAccepted:
      break;
    case AttachStatus::kBusy:
      return absl::ResourceExhaustedError("attach: another trainer is attached");
    case AttachStatus::kWrongUser:
      return absl::PermissionDeniedError("attach: server and trainer must run as one user");
    case AttachStatus::kCannotSignal:
      return absl::PermissionDeniedError("attach: the server may not signal this process");
    default:
      return absl::InvalidArgumentError("attach reply: unknown status");
  }
  const int fds = reply.converted_bytes > 0 ? 5 : 4;
  if (static_cast<int>(packet.fds.size()) != fds) {
    return absl::InvalidArgumentError(
        absl::StrCat("attach reply: ", packet.fds.size(), " descriptors, expected ", fds));
  }
  if (reply.page_bytes <= 0 || reply.arena_bytes < reply.page_bytes || reply.converted_bytes < 0 ||
      reply.generations_bytes !=
          reply.arena_bytes / reply.page_bytes * static_cast<int64_t>(sizeof(uint64_t))) {
    return absl::InvalidArgumentError("attach reply: sizes of arena, page and generations");
  }
  if (reply.dtype != DType::kF32 && reply.dtype != DType::kBf16) {
    return absl::InvalidArgumentError("attach reply: dtype");
  }
  if (!Terminated(reply.model_directory) || !Terminated(reply.base_digest) ||
      !Terminated(reply.tokenizer_digest) || !Terminated(reply.link_socket)) {
    return absl::InvalidArgumentError("attach reply: a string has no end");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreReader>> StoreReader::Attach(const std::string& socket_path) {
  std::unique_ptr<StoreReader> reader(new StoreReader());
  ASSIGN_OR_RETURN(reader->socket_, ConnectSeqpacket(socket_path));
  ASSIGN_OR_RETURN(Packet packet, ReceivePacket(reader->socket_.get(), sizeof(AttachReply),
                                                kAttachDescriptorsMax, kAttachTimeoutUs));
  AttachReply& info = reader->info_;
  RETURN_IF_ERROR(CheckReply(packet, info));
  ASSIGN_OR_RETURN(reader->arena_,
                   SharedMemory::MapReadOnly(std::move(packet.fds[kArenaFd]), info.arena_bytes));
  ASSIGN_OR_RETURN(
      reader->generations_,
      SharedMemory::MapReadOnly(std::move(packet.fds[kGenerationsFd]), info.generations_bytes));
  ASSIGN_OR_RETURN(
      reader->server_page_,
      SharedMemory::MapReadOnly(std::move(packet.fds[kServerPageFd]), kControlPageBytes));
  ASSIGN_OR_RETURN(
      reader->trainer_page_,
      SharedMemory::MapWritable(std::move(packet.fds[kTrainerPageFd]), kControlPageBytes));
  if (info.converted_bytes > 0) reader->converted_ = std::move(packet.fds[kConvertedFd]);
  return reader;
}

uint64_t StoreReader::canary() const {
  uint64_t canary;
  std::memcpy(&canary, arena_.data(), sizeof(canary));
  return canary;
}

absl::Status StoreReader::CheckRange(uint64_t offset, uint64_t bytes, uint64_t generation,
                                     uint32_t residency) const {
  const uint64_t arena_bytes = static_cast<uint64_t>(info_.arena_bytes);
  if ((residency & kOnDevice) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("slot at ", offset, ": not on the device"));
  }
  if (bytes == 0 || offset > arena_bytes || bytes > arena_bytes - offset) {
    return absl::OutOfRangeError(
        absl::StrCat("slot at ", offset, " of ", bytes, " bytes: the arena has ", arena_bytes));
  }
  const auto* table = reinterpret_cast<const std::atomic<uint64_t>*>(generations_.data());
  const uint64_t page_bytes = static_cast<uint64_t>(info_.page_bytes);
  const uint64_t pages = arena_bytes / page_bytes;
  const uint64_t last = (offset + bytes - 1) / page_bytes;
  if (last >= pages) return absl::OutOfRangeError(absl::StrCat("slot at ", offset, ": no page"));
  for (uint64_t page = offset / page_bytes; page <= last; ++page) {
    const uint64_t now = table[page].load(std::memory_order_seq_cst);
    if (now != generation) {
      return absl::FailedPreconditionError(
          absl::StrCat("page ", page, ": generation ", now, ", the lease says ", generation));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ConstTensorView> StoreReader::View(const TensorSlot& slot, int64_t width,
                                                  DType dtype) const {
  RETURN_IF_ERROR(CheckRange(slot.offset, slot.bytes, slot.generation, slot.residency));
  const int64_t row_bytes = width * BytesPerElement(dtype);
  if (row_bytes <= 0 || slot.rows <= 0 || slot.rows > info_.arena_bytes / row_bytes ||
      slot.bytes != static_cast<uint64_t>(slot.rows * row_bytes) ||
      slot.offset % BytesPerElement(dtype) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("slot of tensor ", slot.tensor, ": ", slot.bytes,
                                                   " bytes at ", slot.offset, " are not ",
                                                   slot.rows, " rows of ", row_bytes));
  }
  return ConstTensorView{arena_.data() + slot.offset, slot.rows, width, dtype};
}

absl::StatusOr<KvPageView> StoreReader::View(const KvPageSlot& slot, int64_t width,
                                             DType dtype) const {
  RETURN_IF_ERROR(CheckRange(slot.offset, slot.bytes, slot.generation, slot.residency));
  const int64_t half = kKvPageTokens * width * BytesPerElement(dtype);
  if (width <= 0 || slot.bytes != static_cast<uint64_t>(2 * half) || slot.rows <= 0 ||
      slot.rows > kKvPageTokens || slot.first_position < 0 ||
      slot.first_position % kKvPageTokens != 0 || slot.offset % BytesPerElement(dtype) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("K/V page of layer ", slot.layer,
                                                   " at position ", slot.first_position, ": ",
                                                   slot.bytes, " bytes, ", slot.rows, " rows"));
  }
  const std::byte* base = arena_.data() + slot.offset;
  return KvPageView{{base, slot.rows, width, dtype}, {base + half, slot.rows, width, dtype}};
}

absl::Status StoreReader::CheckGenerations(const RecordDescriptor& record, int64_t layer) const {
  for (const RunDescriptor& run : record.runs) {
    if (layer >= static_cast<int64_t>(run.layers.size())) continue;
    for (const TensorSlot& slot : run.layers[layer]) {
      RETURN_IF_ERROR(CheckRange(slot.offset, slot.bytes, slot.generation, slot.residency));
    }
  }
  for (const KvPageSlot& slot : record.kv_pages) {
    if (slot.layer != layer) continue;
    RETURN_IF_ERROR(CheckRange(slot.offset, slot.bytes, slot.generation, slot.residency));
  }
  return absl::OkStatus();
}

const ServerPage& StoreReader::server_page() const {
  return *reinterpret_cast<const ServerPage*>(server_page_.data());
}

TrainerPage& StoreReader::trainer_page() const {
  return *reinterpret_cast<TrainerPage*>(trainer_page_.writable_data());
}

}  // namespace alchemist
