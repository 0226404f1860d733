#include "activation_store/attach_listener.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "activation_store/control_pages.h"
#include "base/logging.h"
#include "base/packet.h"

namespace alchemist {
namespace {

constexpr int kDescriptorRetryMs = 100;

bool IsOutOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

int PidfdOpen(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }
int PidfdSignal(int pidfd, int signal) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

absl::Span<const std::byte> BytesOf(const AttachReply& reply) {
  return {reinterpret_cast<const std::byte*>(&reply), sizeof(reply)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<AttachListener>> AttachListener::Create(Options options) {
  std::unique_ptr<AttachListener> listener(new AttachListener(std::move(options)));
  ASSIGN_OR_RETURN(listener->listening_, ListenSeqpacket(listener->options_.socket_path));
  listener->wake_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!listener->wake_.valid()) return ErrnoStatus("eventfd", "attach listener");
  return listener;
}

void AttachListener::Start() {
  thread_ = std::thread([this] { Run(); });
}

AttachListener::~AttachListener() {
  if (thread_.joinable()) {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
    }
    eventfd_write(wake_.get(), 1);
    thread_.join();
  }
  if (listening_.valid()) unlink(options_.socket_path.c_str());
}

void AttachListener::Kill(uint64_t session_epoch) {
  MutexLock lock(&mutex_);
  if (session_.epoch != session_epoch || !session_.pidfd.valid()) return;
  LOG(WARNING) << "trainer session " << session_epoch << ": killing process " << session_.pid;
  if (PidfdSignal(session_.pidfd.get(), SIGKILL) != 0) PLOG(ERROR) << "pidfd_send_signal";
}

void AttachListener::EndSession(uint64_t session_epoch) {
  MutexLock lock(&mutex_);
  if (session_.epoch != session_epoch) return;
  session_ = Session();
  eventfd_write(wake_.get(), 1);
}

void AttachListener::Run() {
  // A trainer that cannot be accepted stays readable: polling for it would not wait.
  bool paused = false;
  for (;;) {
    // poll ignores negative descriptors.
    std::vector<pollfd> entries = {{paused ? -1 : listening_.get(), POLLIN, 0},
                                   {wake_.get(), POLLIN, 0}};
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;
      entries.push_back({session_.socket.get(), POLLIN, 0});
      entries.push_back({session_.pidfd.get(), POLLIN, 0});
    }
    const int ready = poll(entries.data(), entries.size(), paused ? kDescriptorRetryMs : -1);
    if (ready < 0) {
      PCHECK(errno == EINTR) << "poll";
      continue;
    }
    if (ready == 0) paused = false;
    if (entries[1].revents != 0) {
      // The session may have changed under the poll: look again before trusting its results.
      eventfd_t ignored;
      eventfd_read(wake_.get(), &ignored);
      continue;
    }
    CheckSession(entries[2].revents != 0, entries[3].revents != 0);
    if (entries[0].revents != 0) paused = !Accept();
  }
}

void AttachListener::CheckSession(bool socket_ready, bool pidfd_ready) {
  AttachEvent event;
  std::vector<AttachEvent::Kind> kinds;
  {
    MutexLock lock(&mutex_);
    event.session_epoch = session_.epoch;
    event.pid = session_.pid;
    if (socket_ready && session_.socket.valid()) {
      session_.socket = FileDescriptor();
      kinds.push_back(AttachEvent::Kind::kStreamEnded);
    }
    if (pidfd_ready && session_.pidfd.valid()) {
      session_ = Session();
      kinds.push_back(AttachEvent::Kind::kExited);
    }
  }
  for (const AttachEvent::Kind kind : kinds) {
    event.kind = kind;
    options_.on_event(event);
  }
}

bool AttachListener::Accept() {
  FileDescriptor socket(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int error = socket.valid() ? 0 : errno;
  const bool was_out = std::exchange(out_of_descriptors_, IsOutOfDescriptors(error));
  if (error != 0) {
    PLOG_IF(WARNING, !(was_out && out_of_descriptors_)) << "attach: accept";  // Once.
    return !out_of_descriptors_;
  }
  Session session;
  if (const absl::Status status = Admit(socket.get(), session); !status.ok()) {
    LOG(WARNING) << "attach refused: " << status;
    return true;
  }
  session.socket = std::move(socket);
  session.epoch = next_epoch_++;
  absl::StatusOr<AttachEvent> event = SendDescriptors(session);
  if (!event.ok()) {
    LOG(WARNING) << "attach failed: " << event.status();
    return true;
  }
  {
    MutexLock lock(&mutex_);
    session_ = std::move(session);
  }
  options_.on_event(*std::move(event));
  return true;
}

void AttachListener::Refuse(int socket, AttachStatus status) {
  AttachReply reply;
  reply.status = status;
  const absl::Status sent = SendPacket(socket, BytesOf(reply), {});
  if (!sent.ok()) LOG(WARNING) << "attach: " << sent;
}

absl::Status AttachListener::Admit(int socket, Session& session) {
  ucred peer = {};
  socklen_t bytes = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
    return ErrnoStatus("SO_PEERCRED", "attach socket");
  }
  if (peer.uid != geteuid()) {
    Refuse(socket, AttachStatus::kWrongUser);
    return absl::PermissionDeniedError(absl::StrCat("user ", peer.uid, " is not ", geteuid()));
  }
  {
    MutexLock lock(&mutex_);
    if (session_.epoch != 0) {
      Refuse(socket, AttachStatus::kBusy);
      return absl::ResourceExhaustedError(
          absl::StrCat("process ", peer.pid, ": process ", session_.pid, " is attached"));
    }
  }
  session.pid = peer.pid;
  session.pidfd = FileDescriptor(PidfdOpen(peer.pid));
  // Signal 0 proves that the session could be ended by force, before anything is lent to it.
  if (!session.pidfd.valid() || PidfdSignal(session.pidfd.get(), 0) != 0) {
    Refuse(socket, AttachStatus::kCannotSignal);
    return ErrnoStatus("pidfd", absl::StrCat("process ", peer.pid));
  }
  return absl::OkStatus();
}

absl::StatusOr<AttachEvent> AttachListener::SendDescriptors(const Session& session) {
  AttachEvent event;
  event.session_epoch = session.epoch;
  event.pid = session.pid;
  if (getrandom(event.secret.data(), event.secret.size(), 0) !=
      static_cast<ssize_t>(event.secret.size())) {
    return ErrnoStatus("getrandom", "session secret");
  }
  ASSIGN_OR_RETURN(SharedMemory page,
                   SharedMemory::CreateForPeer("alchemist-trainer-page", kControlPageBytes));
  AttachReply reply = options_.reply;
  reply.session_epoch = session.epoch;
  reply.secret = event.secret;
  std::vector<int> fds(options_.fds.begin(), options_.fds.end());
  fds.push_back(page.fd());
  if (options_.converted_fd >= 0) fds.push_back(options_.converted_fd);
  RETURN_IF_ERROR(SendPacket(session.socket.get(), BytesOf(reply), fds));
  event.trainer_page = std::make_shared<const SharedMemory>(std::move(page));
  return event;
}

}  // namespace alchemist
