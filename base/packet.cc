#include "base/packet.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path[0] == '\0' || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("socket path '", path, "': must have 1 to ",
                                                   sizeof(address.sun_path) - 1,
                                                   " bytes and name a file"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<FileDescriptor> NewSocket(const std::string& path) {
  FileDescriptor fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus("socket", path);
  return fd;
}

// Every descriptor of a received message, so that none leaks whatever else is wrong with it.
std::vector<FileDescriptor> TakeDescriptors(msghdr& message) {
  std::vector<FileDescriptor> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

absl::Status WaitReadable(int socket, int64_t timeout_us) {
  pollfd entry = {socket, POLLIN, 0};
  int ready;
  do {
    ready = poll(&entry, 1, static_cast<int>((timeout_us + 999) / 1000));
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return ErrnoStatus("poll", "packet socket");
  if (ready == 0) return absl::UnavailableError("packet socket: no answer in time");
  return absl::OkStatus();
}

}  // namespace

absl::Status SendPacket(int socket, absl::Span<const std::byte> packet, absl::Span<const int> fds) {
  CHECK_LE(fds.size(), static_cast<size_t>(kPacketDescriptorsMax));
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kPacketDescriptorsMax)] = {};
  iovec data = {const_cast<std::byte*>(packet.data()), packet.size()};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return ErrnoStatus("sendmsg", "packet socket");
  return absl::OkStatus();
}

absl::StatusOr<Packet> ReceivePacket(int socket, int64_t bytes_max, int fds_max,
                                     int64_t timeout_us) {
  RETURN_IF_ERROR(WaitReadable(socket, timeout_us));
  Packet packet;
  packet.bytes.resize(bytes_max + 1);
  std::vector<char> control(CMSG_SPACE(sizeof(int) * kPacketDescriptorsMax));
  iovec data = {packet.bytes.data(), packet.bytes.size()};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return ErrnoStatus("recvmsg", "packet socket");
  packet.fds = TakeDescriptors(message);
  if (received == 0) return absl::UnavailableError("packet socket: end of stream");
  if (received > bytes_max || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
      static_cast<int>(packet.fds.size()) > fds_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("packet socket: packet of ", received, " bytes and ", packet.fds.size(),
                     " descriptors is over the limit of ", bytes_max, " bytes and ", fds_max));
  }
  packet.bytes.resize(received);
  return packet;
}

absl::StatusOr<FileDescriptor> ListenSeqpacket(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(FileDescriptor fd, NewSocket(path));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus("unlink", path);
  const mode_t mask = umask(0177);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  umask(mask);
  if (bound != 0) return ErrnoStatus("bind", path);
  if (listen(fd.get(), 4) != 0) return ErrnoStatus("listen", path);
  return fd;
}

absl::StatusOr<FileDescriptor> ConnectSeqpacket(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  ASSIGN_OR_RETURN(FileDescriptor fd, NewSocket(path));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus("connect", path);
  }
  return fd;
}

absl::StatusOr<std::pair<FileDescriptor, FileDescriptor>> SeqpacketPair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return ErrnoStatus("socketpair", "packet socket");
  }
  return std::make_pair(FileDescriptor(fds[0]), FileDescriptor(fds[1]));
}

}  // namespace alchemist
