#include "activation_store/trainer_session.h"

#include "activation_store/control_pages.h"
#include "base/logging.h"

namespace alchemist {

const char* SessionStateName(SessionState state) {
  switch (state) {
    case SessionState::kNone:
      return "NONE";
    case SessionState::kAttached:
      return "ATTACHED";
    case SessionState::kActive:
      return "ACTIVE";
    case SessionState::kSuspect:
      return "SUSPECT";
    case SessionState::kFenced:
      return "FENCED";
  }
  return "?";
}

void TrainerSession::OnAttached(uint64_t session_epoch, int64_t now_us) {
  CHECK(state_ == SessionState::kNone) << SessionStateName(state_);
  *this = TrainerSession();
  state_ = SessionState::kAttached;
  epoch_ = session_epoch;
  heartbeat_us_ = now_us;
}

void TrainerSession::OnHello(int64_t now_us) {
  CHECK(state_ == SessionState::kAttached) << SessionStateName(state_);
  state_ = SessionState::kActive;
  heartbeat_us_ = now_us;
}

SessionAction TrainerSession::End() {
  *this = TrainerSession();
  return SessionAction::kEndLeases;
}

SessionAction TrainerSession::OnStreamEnd(int64_t now_us) {
  if (state_ == SessionState::kNone || state_ == SessionState::kFenced) {
    return SessionAction::kNothing;
  }
  if (goodbye_) return End();
  state_ = SessionState::kFenced;
  fenced_us_ = now_us;
  return SessionAction::kNothing;
}

SessionAction TrainerSession::OnExit() {
  return state_ == SessionState::kNone ? SessionAction::kNothing : End();
}

SessionAction TrainerSession::OnTick(uint64_t heartbeat, int64_t now_us) {
  if (heartbeat != heartbeat_) {
    heartbeat_ = heartbeat;
    heartbeat_us_ = now_us;
  }
  const bool silent = now_us - heartbeat_us_ > kHeartbeatsMissedMax * kHeartbeatUs;
  if (state_ == SessionState::kActive && silent) state_ = SessionState::kSuspect;
  if (state_ == SessionState::kSuspect && !silent) state_ = SessionState::kActive;
  if (state_ == SessionState::kFenced && !kill_sent_ && now_us - fenced_us_ >= kExitGraceUs) {
    kill_sent_ = true;
    return SessionAction::kKill;
  }
  return SessionAction::kNothing;
}

}  // namespace alchemist
