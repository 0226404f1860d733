// TrainerSession: the owner's view of the one trainer, as a pure state machine: events and the time
// in, actions out. Owned by the serving loop. (RELIABILITY.md section 2; CONNECTING is the
// listener's.)
//
//     NONE -OnAttached-> ATTACHED -OnHello-> ACTIVE <-OnTick (heartbeats again)- SUSPECT
//                           |                  |  -OnTick (3 heartbeats missed)->  |
//                           +---- OnStreamEnd without Goodbye, OnProtocolError ----+--> FENCED
//     FENCED -OnTick after 3 s-> (kill) -OnExit-> NONE;   any -OnGoodbye, OnStreamEnd-> NONE
//
// Silence alone never fences: an idle-priority trainer beside a saturated server is late by
// seconds.
#ifndef ALCHEMIST_ACTIVATION_STORE_TRAINER_SESSION_H_
#define ALCHEMIST_ACTIVATION_STORE_TRAINER_SESSION_H_

#include <cstdint>

namespace alchemist {

enum class SessionState { kNone, kAttached, kActive, kSuspect, kFenced };
const char* SessionStateName(SessionState state);

enum class SessionAction {
  kNothing,
  kEndLeases,  // Proven: the trainer of this epoch can read no more.
  kKill,       // SIGKILL through the pidfd; OnExit follows.
};

class TrainerSession {
 public:
  void OnAttached(uint64_t session_epoch, int64_t now_us);
  // The hello presented the secret and the canary. REQUIRES: kAttached.
  void OnHello(int64_t now_us);
  void OnGoodbye() { goodbye_ = true; }
  // Either stream ended, or the trainer broke the protocol.
  SessionAction OnStreamEnd(int64_t now_us);
  // The pidfd says the process is gone.
  SessionAction OnExit();
  // `heartbeat` is the trainer page's counter now.
  SessionAction OnTick(uint64_t heartbeat, int64_t now_us);

  SessionState state() const { return state_; }
  uint64_t epoch() const { return epoch_; }  // 0 when kNone.
  bool MayLease() const { return state_ == SessionState::kActive && !goodbye_; }

 private:
  SessionAction End();

  SessionState state_ = SessionState::kNone;
  uint64_t epoch_ = 0;
  bool goodbye_ = false;
  bool kill_sent_ = false;
  uint64_t heartbeat_ = 0;
  int64_t heartbeat_us_ = 0;
  int64_t fenced_us_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_TRAINER_SESSION_H_
