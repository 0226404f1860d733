#include "tests/raw_http2.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int kSendTimeoutMs = 10'000;

// A string of a header block: not compressed, below 127 bytes.
std::string HeaderString(const std::string& text) {
  CHECK_LT(text.size(), 127u);
  return std::string(1, static_cast<char>(text.size())) + text;
}

}  // namespace

absl::StatusOr<RawHttp2> RawHttp2::Connect(int port) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return ErrnoStatus("socket", "IPv4");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus("connect", absl::StrCat("port ", port));
  }
  return RawHttp2(std::move(socket));
}

bool RawHttp2::Send(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    pollfd writable = {socket_.get(), POLLOUT, 0};
    if (poll(&writable, 1, kSendTimeoutMs) != 1) return false;
    const ssize_t count =
        send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) continue;
    if (count <= 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

bool RawHttp2::WaitUntilClosed(int64_t timeout_us) {
  const int64_t deadline_us = Clock::Real()->MonotonicUs() + timeout_us;
  char dropped[4096];
  for (;;) {
    const int64_t left_us = deadline_us - Clock::Real()->MonotonicUs();
    pollfd readable = {socket_.get(), POLLIN, 0};
    if (left_us <= 0 || poll(&readable, 1, static_cast<int>(left_us / 1000) + 1) != 1) return false;
    if (recv(socket_.get(), dropped, sizeof(dropped), 0) <= 0) return true;
  }
}

std::string RawHttp2::Number(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

std::string RawHttp2::Frame(FrameType type, uint8_t flags, uint32_t stream,
                            const std::string& payload) {
  return absl::StrCat(Number(static_cast<uint32_t>(payload.size())).substr(1),
                      std::string({static_cast<char>(type), static_cast<char>(flags)}),
                      Number(stream), payload);
}

std::string RawHttp2::Begin(uint32_t window_bytes) {
  constexpr char kInitialWindow[] = {0, 4};
  return absl::StrCat(kPreface, Frame(FrameType::kSettings, 0, 0,
                                      std::string(kInitialWindow, 2) + Number(window_bytes)));
}

std::string RawHttp2::CallHeaders(const std::string& method) {
  // Indices of HPACK's static table: POST is 3, http 6, :path 4, :authority 1; 0 is a new name.
  const std::string new_name(1, '\0');
  return absl::StrCat("\x83\x86\x04", HeaderString(method), "\x01", HeaderString("localhost"),
                      new_name, HeaderString("content-type"), HeaderString("application/grpc"),
                      new_name, HeaderString("te"), HeaderString("trailers"));
}

std::string RawHttp2::GrpcMessage(const std::string& message, uint32_t bytes) {
  return absl::StrCat(std::string(1, '\0'), Number(bytes), message);
}

}  // namespace alchemist
