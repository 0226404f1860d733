// ServerLink: the trainer's end of Link.Session. A thread reads messages into a bounded queue; the
// loop takes them from there and sends its own. Owned by the trainer's loop, whose thread makes all
// calls but Cancel.
#ifndef ALCHEMIST_TRAINER_SERVER_LINK_H_
#define ALCHEMIST_TRAINER_SERVER_LINK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "proto/alchemist/v1/link.pb.h"

namespace alchemist {

class ServerLink {
 public:
  // Connects to the Unix socket and sends `hello`; the first message received is the server's.
  static std::unique_ptr<ServerLink> Connect(const std::string& socket_path, uint64_t store_epoch,
                                             uint64_t session_epoch, v1::Hello hello);
  virtual ~ServerLink() = default;  // Ends the stream.

  // The next message, waiting at most `timeout_us`; nullopt when there is none, or the stream
  // ended.
  virtual std::optional<v1::ServerMessage> Receive(int64_t timeout_us) = 0;
  // Epochs and sequence are filled in. False when the stream has ended.
  virtual bool Send(v1::TrainerMessage message) = 0;
  virtual bool ended() const = 0;  // And everything that was received has been taken.
  // Says Goodbye and waits for the stream's end.
  virtual void SayGoodbye() = 0;
  // Ends the stream at once. Any thread.
  virtual void Cancel() = 0;
  // Why the stream ended. REQUIRES: ended().
  virtual absl::Status Finish() = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_SERVER_LINK_H_
