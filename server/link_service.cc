#include "server/link_service.h"

#include <grpcpp/grpcpp.h>

#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/logging.h"
#include "proto/alchemist/v1/link.grpc.pb.h"
#include "server/grpc_status_service.h"

namespace alchemist {
namespace {

constexpr int64_t kWriterWaitUs = 100'000;

using SessionStream = grpc::ServerReaderWriter<v1::ServerMessage, v1::TrainerMessage>;

class LinkServiceImpl final : public v1::Link::Service {
 public:
  explicit LinkServiceImpl(ServingLoop* loop) : loop_(loop) {}

  grpc::Status Session(grpc::ServerContext* context, SessionStream* stream) override {
    v1::TrainerMessage message;
    if (!stream->Read(&message) || !message.has_hello()) {
      return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "link: the first message is hello");
    }
    const auto outbox = std::make_shared<LinkOutbox>(kLinkOutboxMax);
    const uint64_t epoch = message.epochs().session_epoch();
    if (const absl::Status status = Hello(message, outbox); !status.ok()) {
      return ToGrpcStatus(status);
    }
    std::thread writer([&] { WriteAll(*context, *outbox, *stream); });
    while (stream->Read(&message)) {
      const absl::Status posted =
          loop_->Post([this, epoch, message] { loop_->feed().OnMessage(epoch, message); });
      if (!posted.ok()) break;
    }
    const absl::Status posted = loop_->Post([this, epoch] { loop_->feed().OnLinkEnd(epoch); });
    if (!posted.ok()) LOG(WARNING) << "link: " << posted;
    outbox->Close();
    writer.join();
    return grpc::Status::OK;
  }

 private:
  absl::Status Hello(const v1::TrainerMessage& message, std::shared_ptr<LinkOutbox> outbox) {
    auto ready = std::make_shared<std::promise<absl::Status>>();
    std::future<absl::Status> answer = ready->get_future();
    RETURN_IF_ERROR(loop_->Post([this, message, outbox, ready] {
      loop_->feed().OnHello(message, outbox,
                            [ready](absl::Status status) { ready->set_value(std::move(status)); });
    }));
    return answer.get();
  }

  // When the session ends on the server's side the outbox is closed: the stream is cancelled, so
  // that the reader returns too.
  static void WriteAll(grpc::ServerContext& context, LinkOutbox& outbox, SessionStream& stream) {
    for (;;) {
      std::optional<v1::ServerMessage> message = outbox.Pop(kWriterWaitUs);
      if (message.has_value()) {
        if (!stream.Write(*message)) return;
      } else if (outbox.closed()) {
        context.TryCancel();
        return;
      }
    }
  }

  ServingLoop* const loop_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLinkService(ServingLoop* loop) {
  return std::make_unique<LinkServiceImpl>(loop);
}

}  // namespace alchemist
