// A stranger at the attach socket, as a process of its own because the server kills peers that
// misbehave. Exits with 0 when it was treated as it should be, else with 1 and a line that says so.
//
//   attach_peer secrets STORE_SOCKET LINK_SOCKET   attaches, then says hello with wrong secrets
//   attach_peer garbage STORE_SOCKET               attaches, then sends garbage and descriptors
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "activation_store/attach.h"
#include "base/packet.h"
#include "proto/alchemist/v1/link.grpc.pb.h"

namespace alchemist {
namespace {

constexpr int64_t kTimeoutUs = 30'000'000;
constexpr int kDescriptors = 253;  // SCM_MAX_FD: the kernel passes no more in one packet.

struct Attached {
  AttachReply reply;
  uint64_t canary = 0;  // The arena's first word, as only a mapping shows it.
};

absl::StatusOr<Attached> ReadReply(int socket) {
  ASSIGN_OR_RETURN(const Packet packet,
                   ReceivePacket(socket, sizeof(AttachReply), kAttachDescriptorsMax, kTimeoutUs));
  Attached attached;
  if (packet.bytes.size() != sizeof(attached.reply)) return absl::InternalError("a short reply");
  std::memcpy(&attached.reply, packet.bytes.data(), sizeof(attached.reply));
  if (attached.reply.status != AttachStatus::kAccepted) return absl::InternalError("not accepted");
  const ssize_t bytes = pread(packet.fds[kArenaFd].get(), &attached.canary, sizeof(uint64_t), 0);
  if (bytes != sizeof(uint64_t)) return ErrnoStatus("pread", "arena");
  return attached;
}

v1::TrainerMessage HelloOf(const Attached& attached) {
  v1::TrainerMessage hello;
  hello.mutable_epochs()->set_store_epoch(attached.reply.store_epoch);
  hello.mutable_epochs()->set_session_epoch(attached.reply.session_epoch);
  hello.set_sequence(1);
  hello.mutable_hello()->set_canary(attached.canary);
  hello.mutable_hello()->set_session_secret(
      std::string(attached.reply.secret.begin(), attached.reply.secret.end()));
  return hello;
}

absl::Status ExpectRefused(const std::string& link_socket, const v1::TrainerMessage& hello) {
  const auto channel =
      grpc::CreateChannel("unix:" + link_socket, grpc::InsecureChannelCredentials());
  const auto stub = v1::Link::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::microseconds(kTimeoutUs));
  const auto stream = stub->Session(&context);
  stream->Write(hello);
  v1::ServerMessage message;
  if (stream->Read(&message)) return absl::InternalError("the server let a stranger in");
  const grpc::Status status = stream->Finish();
  if (status.error_code() == grpc::StatusCode::PERMISSION_DENIED) return absl::OkStatus();
  return absl::InternalError("refused otherwise: " + status.error_message());
}

// Each hello is right but for one thing.
absl::Status TrySecrets(const std::string& store_socket, const std::string& link_socket) {
  ASSIGN_OR_RETURN(const FileDescriptor socket, ConnectSeqpacket(store_socket));
  ASSIGN_OR_RETURN(const Attached attached, ReadReply(socket.get()));
  const v1::TrainerMessage right = HelloOf(attached);
  const std::string& secret = right.hello().session_secret();
  std::string other = secret;
  other[15] ^= 1;
  for (const std::string& wrong : {other, std::string(), secret.substr(0, 15), secret + "0"}) {
    v1::TrainerMessage hello = right;
    hello.mutable_hello()->set_session_secret(wrong);
    RETURN_IF_ERROR(ExpectRefused(link_socket, hello));
  }
  v1::TrainerMessage hello = right;
  hello.mutable_hello()->set_canary(attached.canary + 1);
  RETURN_IF_ERROR(ExpectRefused(link_socket, hello));
  hello = right;
  hello.mutable_epochs()->set_store_epoch(attached.reply.store_epoch + 1);
  RETURN_IF_ERROR(ExpectRefused(link_socket, hello));
  hello = right;
  hello.mutable_epochs()->set_session_epoch(attached.reply.session_epoch + 1);
  return ExpectRefused(link_socket, hello);
}

absl::Status SendGarbage(const std::string& store_socket) {
  ASSIGN_OR_RETURN(const FileDescriptor socket, ConnectSeqpacket(store_socket));
  RETURN_IF_ERROR(ReadReply(socket.get()).status());
  std::string bytes(10'000, '\xa5');
  iovec data = {bytes.data(), bytes.size()};
  std::vector<char> control(CMSG_SPACE(sizeof(int) * kDescriptors));
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * kDescriptors);
  const std::vector<int> descriptors(kDescriptors, socket.get());
  std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(int) * kDescriptors);
  if (sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0) return ErrnoStatus("sendmsg", "garbage");
  pollfd entry = {socket.get(), POLLIN, 0};
  if (poll(&entry, 1, static_cast<int>(kTimeoutUs / 1000)) != 1) {
    return absl::InternalError("the server keeps the stream of a peer that broke the protocol");
  }
  return absl::OkStatus();
}

int Main(const std::vector<std::string>& arguments) {
  absl::Status status = absl::InvalidArgumentError("see the head of attach_peer.cc");
  if (arguments.size() == 4 && arguments[1] == "secrets") {
    status = TrySecrets(arguments[2], arguments[3]);
  } else if (arguments.size() == 3 && arguments[1] == "garbage") {
    status = SendGarbage(arguments[2]);
  }
  if (status.ok()) return 0;
  std::cerr << "attach_peer: " << status << "\n";
  return 1;
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) { return alchemist::Main({argv, argv + argc}); }
