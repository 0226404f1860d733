// Packets with descriptors: messages of a SOCK_SEQPACKET Unix socket, with SCM_RIGHTS. How memory
// (a memfd, a chunk of a CUDA arena) reaches another process: nothing is left on disk after a
// crash, no names can clash, and the kernel enforces possession. Any thread.
#ifndef ALCHEMIST_BASE_PACKET_H_
#define ALCHEMIST_BASE_PACKET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/file.h"
#include "base/status.h"

namespace alchemist {

inline constexpr int kPacketDescriptorsMax = 253;  // SCM_MAX_FD: the kernel passes no more at once.

// Sends one packet with `fds`, which stay the caller's. Never waits: Unavailable when the peer's
// buffer is full.
absl::Status SendPacket(int socket, absl::Span<const std::byte> packet, absl::Span<const int> fds);

struct Packet {
  std::vector<std::byte> bytes;
  std::vector<FileDescriptor> fds;
};
// Waits at most `timeout_us` for one packet. Unavailable at end of stream or time-out;
// InvalidArgument, with all descriptors closed, for more than `bytes_max` or `fds_max`.
absl::StatusOr<Packet> ReceivePacket(int socket, int64_t bytes_max, int fds_max,
                                     int64_t timeout_us);

// A listening socket at `path`, mode 0600; replaces a stale one. `path` must fit sockaddr_un and
// must not be an abstract name.
absl::StatusOr<FileDescriptor> ListenSeqpacket(const std::string& path);
absl::StatusOr<FileDescriptor> ConnectSeqpacket(const std::string& path);
// Two ends of a socket without a name: one to keep, one for a child process.
absl::StatusOr<std::pair<FileDescriptor, FileDescriptor>> SeqpacketPair();

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_PACKET_H_
