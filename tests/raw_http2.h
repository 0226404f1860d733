// RawHttp2: a connection that speaks as much HTTP/2 as its test says, frame by frame, and as little
// as no gRPC client would. One thread.
#ifndef ALCHEMIST_TESTS_RAW_HTTP2_H_
#define ALCHEMIST_TESTS_RAW_HTTP2_H_

#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/status.h"

namespace alchemist {

enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 1;   // Of a kData or kHeaders.
inline constexpr uint8_t kEndHeaders = 4;  // Of a kHeaders or kContinuation.

class RawHttp2 {
 public:
  static constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

  // To 127.0.0.1:`port`; nothing is sent yet.
  static absl::StatusOr<RawHttp2> Connect(int port);

  // False when the server has ended the connection, or takes nothing for ten seconds.
  bool Send(const std::string& bytes);
  // Reads, and forgets, what the server sends. True when it ends the connection in `timeout_us`.
  bool WaitUntilClosed(int64_t timeout_us);

  static std::string Frame(FrameType type, uint8_t flags, uint32_t stream,
                           const std::string& payload);
  // The preface and settings with which a connection begins. The server may send so many bytes of
  // each stream that nobody took.
  static std::string Begin(uint32_t window_bytes);
  // The header block of a call of `method`.
  static std::string CallHeaders(const std::string& method);
  // `message` as a gRPC call carries it; `bytes` is the length that is said.
  static std::string GrpcMessage(const std::string& message, uint32_t bytes);
  static std::string Number(uint32_t value);  // Four bytes, the most significant first.

 private:
  explicit RawHttp2(FileDescriptor socket) : socket_(std::move(socket)) {}

  FileDescriptor socket_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TESTS_RAW_HTTP2_H_
