#include "trainer/server_link.h"

#include <grpcpp/grpcpp.h>

#include <thread>
#include <utility>

#include "base/bounded_queue.h"
#include "base/logging.h"
#include "proto/alchemist/v1/link.grpc.pb.h"

namespace alchemist {
namespace {

constexpr int64_t kReceivedMax = 4096;
constexpr int kGoodbyeWaits = 50;  // Of 100 ms: then the server is stuck, and we go anyway.
constexpr int64_t kReceiveFullUs = 60'000'000;

class GrpcServerLink final : public ServerLink {
 public:
  GrpcServerLink(const std::string& socket_path, uint64_t store_epoch, uint64_t session_epoch)
      : store_epoch_(store_epoch), session_epoch_(session_epoch) {
    grpc::ChannelArguments arguments;
    // One channel for each session: a fresh connection, not a pooled one to a server that is gone.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // The server is trusted with memory: a record's descriptor grows with the model's layers.
    arguments.SetMaxReceiveMessageSize(-1);
    channel_ = grpc::CreateCustomChannel("unix:" + socket_path, grpc::InsecureChannelCredentials(),
                                         arguments);
    stub_ = v1::Link::NewStub(channel_);
    stream_ = stub_->Session(&context_);
    reader_ = std::thread([this] { ReadAll(); });
  }

  ~GrpcServerLink() override {
    context_.TryCancel();
    received_.Close();
    reader_.join();
    if (!finished_) stream_->Finish();
  }

  std::optional<v1::ServerMessage> Receive(int64_t timeout_us) override {
    return received_.Pop(timeout_us);
  }

  bool Send(v1::TrainerMessage message) override {
    message.mutable_epochs()->set_store_epoch(store_epoch_);
    message.mutable_epochs()->set_session_epoch(session_epoch_);
    message.set_sequence(++sent_);
    return stream_->Write(message);
  }

  bool ended() const override { return received_.closed() && received_.size() == 0; }

  void SayGoodbye() override {
    v1::TrainerMessage message;
    message.mutable_goodbye();
    if (Send(std::move(message))) stream_->WritesDone();
    for (int i = 0; i < kGoodbyeWaits && !ended(); ++i) received_.Pop(/*timeout_us=*/100'000);
  }

  void Cancel() override { context_.TryCancel(); }

  absl::Status Finish() override {
    const grpc::Status status = stream_->Finish();
    finished_ = true;
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }

 private:
  void ReadAll() {
    v1::ServerMessage message;
    uint64_t sequence = 0;
    while (stream_->Read(&message)) {
      if (message.epochs().store_epoch() != store_epoch_ ||
          message.epochs().session_epoch() != session_epoch_ || message.sequence() != ++sequence) {
        LOG(ERROR) << "link: a message of another session, or one is missing";
        context_.TryCancel();
        break;
      }
      // The server sends only what was asked for: a full queue means that the loop stands still.
      if (!received_.Push(std::move(message), kReceiveFullUs)) {
        context_.TryCancel();
        break;
      }
    }
    received_.Close();
  }

  const uint64_t store_epoch_;
  const uint64_t session_epoch_;
  grpc::ClientContext context_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Link::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::TrainerMessage, v1::ServerMessage>> stream_;
  BoundedQueue<v1::ServerMessage> received_{kReceivedMax};
  std::thread reader_;
  uint64_t sent_ = 0;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<ServerLink> ServerLink::Connect(const std::string& socket_path,
                                                uint64_t store_epoch, uint64_t session_epoch,
                                                v1::Hello hello) {
  auto link = std::make_unique<GrpcServerLink>(socket_path, store_epoch, session_epoch);
  v1::TrainerMessage message;
  *message.mutable_hello() = std::move(hello);
  link->Send(std::move(message));  // A failure shows as the stream's end.
  return link;
}

}  // namespace alchemist
