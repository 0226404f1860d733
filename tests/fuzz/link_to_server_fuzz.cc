// A session's messages from the trainer to the server, each after its length as a varint. What a
// message leaves out of epochs, sequence, secret and canary is filled in: a fuzzer cannot guess it.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/delimited_message_util.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/trainer_feed_testing.h"
#include "tests/fuzz/fuzz_target.h"

namespace alchemist {
namespace {

// The log grows with what the sessions say.
constexpr int kSessionsPerFeed = 500;

class FuzzedFeed final : public TrainerFeedTest {
 public:
  FuzzedFeed() {
    for (const char* id : {"a", "b"}) AddFeedback(id);
    AddRecord("of-a");
  }
  void TestBody() override {}

  // Whether all messages were taken: the session is still active.
  bool RunSession(const std::vector<v1::TrainerMessage>& messages) {
    ++epoch_;
    Attach(epoch_);
    bool first = true;
    for (v1::TrainerMessage message : messages) {
      FillIn(message);
      if (std::exchange(first, false)) {
        if (!SayHello(message).ok()) break;
      } else {
        feed_->OnMessage(epoch_, message);
        Tick();
      }
    }
    const bool active = feed_->active();
    feed_->OnLinkEnd(epoch_);
    AttachEvent exited;
    exited.kind = AttachEvent::Kind::kExited;
    exited.session_epoch = epoch_;
    feed_->OnAttachEvent(exited);
    CHECK_EQ(store_->ledger().leases, 0) << "a lease outlived its session";
    return active;
  }

 private:
  void FillIn(v1::TrainerMessage& message) {
    const v1::TrainerMessage right = Hello(epoch_);
    if (!message.has_epochs()) *message.mutable_epochs() = right.epochs();
    if (message.sequence() == 0) message.set_sequence(right.sequence());
    if (!message.has_hello()) return;
    v1::Hello& hello = *message.mutable_hello();
    if (hello.session_secret().empty()) hello.set_session_secret(right.hello().session_secret());
    if (hello.canary() == 0) hello.set_canary(right.hello().canary());
  }

  uint64_t epoch_ = 0;
};

// False when the bytes are no messages.
bool ReadMessages(absl::string_view input, std::vector<v1::TrainerMessage>& messages) {
  google::protobuf::io::ArrayInputStream bytes(input.data(), static_cast<int>(input.size()));
  google::protobuf::io::CodedInputStream stream(&bytes);
  for (bool clean_end = false; !clean_end;) {
    v1::TrainerMessage message;
    if (!google::protobuf::util::ParseDelimitedFromCodedStream(&message, &stream, &clean_end)) {
      return clean_end;
    }
    messages.push_back(std::move(message));
  }
  return true;
}

}  // namespace

bool TakesInput(absl::string_view input) {
  const google::protobuf::LogSilencer silencer;  // Of strings that are no UTF-8.
  std::vector<v1::TrainerMessage> messages;
  if (!ReadMessages(input, messages)) return false;
  static std::unique_ptr<FuzzedFeed> feed;
  static int sessions = 0;
  if (sessions++ % kSessionsPerFeed == 0) feed = std::make_unique<FuzzedFeed>();
  return feed->RunSession(messages);
}

}  // namespace alchemist
