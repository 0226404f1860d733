// AttachListener: the server's end of the attach socket. Its own thread accepts one trainer at a
// time, checks who it is (SO_PEERCRED, pidfd), sends the descriptors, and then watches socket and
// pidfd. What it sees it reports through one callback; what the trainer may do is decided by the
// serving loop. While there is no free descriptor trainers wait, and it looks again now and then.
#ifndef ALCHEMIST_ACTIVATION_STORE_ATTACH_LISTENER_H_
#define ALCHEMIST_ACTIVATION_STORE_ATTACH_LISTENER_H_

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "activation_store/attach.h"
#include "base/mutex.h"
#include "base/status.h"
#include "kernels/shared_memory.h"

namespace alchemist {

struct AttachEvent {
  enum class Kind {
    kAttached,     // Descriptors sent.
    kStreamEnded,  // The socket closed, or the trainer sent something on it.
    kExited,       // The process is gone; everything it held has ended.
  };
  Kind kind = Kind::kAttached;
  uint64_t session_epoch = 0;
  pid_t pid = 0;
  std::array<uint8_t, 16> secret = {};               // kAttached
  std::shared_ptr<const SharedMemory> trainer_page;  // kAttached: mapped read-only here.
};

class AttachListener {
 public:
  struct Options {
    std::string socket_path;
    AttachReply reply;       // session_epoch and secret are filled in for each session.
    std::array<int, 3> fds;  // Arena, generations, server page; they outlive the listener.
    int converted_fd = -1;   // Converted weights, or -1.
    // Called on the listener's thread, in order; must not block.
    std::function<void(AttachEvent)> on_event;
  };

  // Binds the socket; trainers that connect wait until Start.
  static absl::StatusOr<std::unique_ptr<AttachListener>> Create(Options options);
  void Start();  // Once.
  // Stops listening and forgets the trainer, which sees the end of the stream.
  ~AttachListener();

  // SIGKILL through the pidfd, never by pid; kExited follows. Nothing when the session is over.
  void Kill(uint64_t session_epoch);
  // The session said Goodbye: its socket closes and another trainer may attach. Any thread.
  void EndSession(uint64_t session_epoch);

 private:
  struct Session {
    uint64_t epoch = 0;
    pid_t pid = 0;
    FileDescriptor socket;  // Invalid once the stream ended.
    FileDescriptor pidfd;
  };

  explicit AttachListener(Options options) : options_(std::move(options)) {}
  void Run();
  bool Accept();  // False when there is no descriptor for the one that waits.
  absl::Status Admit(int socket, Session& session);
  absl::StatusOr<AttachEvent> SendDescriptors(const Session& session);
  void Refuse(int socket, AttachStatus status);
  void CheckSession(bool socket_ready, bool pidfd_ready);

  Options options_;
  FileDescriptor listening_;
  FileDescriptor wake_;  // eventfd: the session changed, or stop.
  // Kill and EndSession come from the serving loop while the thread polls.
  Mutex mutex_;
  Session session_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_epoch_ = 1;
  bool out_of_descriptors_ = false;  // At the last accept.
  std::thread thread_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_ATTACH_LISTENER_H_
