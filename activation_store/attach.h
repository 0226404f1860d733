// How descriptors travel at attach: one packet (base/packet.h) with a fixed struct and up to five
// memfds, since gRPC cannot carry descriptors. Both daemons use this; any thread.
#ifndef ALCHEMIST_ACTIVATION_STORE_ATTACH_H_
#define ALCHEMIST_ACTIVATION_STORE_ATTACH_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/tensor_view.h"

namespace alchemist {

inline constexpr uint64_t kAttachMagic = 0x414c4348454d4154;  // "ALCHEMAT"
inline constexpr uint32_t kAttachVersion = 2;
inline constexpr int kAttachDescriptorsMax = 5;

enum class AttachStatus : uint32_t {
  kAccepted = 0,
  kBusy = 1,         // Another trainer is attached, or not proven dead yet.
  kWrongUser = 2,    // Both daemons must run as one user.
  kCannotSignal = 3  // The server could not fence this process if it hung.
};

// Sent by the server once, right after accept; then the socket stays open and silent: its end is
// the end of the session. Strings end with a zero byte.
struct AttachReply {
  uint64_t magic = kAttachMagic;
  uint32_t version = kAttachVersion;
  AttachStatus status = AttachStatus::kAccepted;
  uint64_t store_epoch = 0;
  uint64_t session_epoch = 0;
  std::array<uint8_t, 16> secret = {};  // Link.Session's hello must present it.
  int64_t arena_bytes = 0;
  int64_t page_bytes = 0;
  int64_t generations_bytes = 0;
  int64_t converted_bytes = 0;  // 0: weights are used in place, no fifth descriptor.
  int64_t lowest_trained_layer = 0;
  DType dtype = DType::kF32;  // Of weights, activations and K/V: f32 or bf16.
  char model_directory[4096] = {};
  char base_digest[80] = {};
  char tokenizer_digest[80] = {};
  char link_socket[256] = {};
};

// The descriptors beside an accepted reply, in this order.
enum AttachDescriptor { kArenaFd = 0, kGenerationsFd, kServerPageFd, kTrainerPageFd, kConvertedFd };

// Copies a string into a reply's field; InvalidArgument naming `field` when it does not fit.
absl::Status CopyToField(absl::string_view value, absl::Span<char> destination,
                         absl::string_view field);

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_ATTACH_H_
