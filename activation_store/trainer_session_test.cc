#include "activation_store/trainer_session.h"

#include "activation_store/control_pages.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

TrainerSession Active() {
  TrainerSession session;
  session.OnAttached(5, 0);
  session.OnHello(0);
  return session;
}

TEST(TrainerSessionTest, NoLeaseBeforeTheHello) {
  TrainerSession session;
  EXPECT_FALSE(session.MayLease());
  session.OnAttached(5, 0);
  EXPECT_FALSE(session.MayLease());
  session.OnHello(0);
  EXPECT_TRUE(session.MayLease());
  EXPECT_EQ(session.epoch(), 5u);
}

TEST(TrainerSessionTest, SilenceStopsLeasesButNeverFences) {
  TrainerSession session = Active();
  EXPECT_EQ(session.OnTick(1, 100'000), SessionAction::kNothing);
  EXPECT_EQ(session.OnTick(1, 1'000'000), SessionAction::kNothing);
  EXPECT_EQ(session.state(), SessionState::kSuspect);
  EXPECT_FALSE(session.MayLease());
  EXPECT_EQ(session.OnTick(1, 3'600'000'000), SessionAction::kNothing) << "an hour of SIGSTOP";
  EXPECT_EQ(session.state(), SessionState::kSuspect);
  EXPECT_EQ(session.OnTick(2, 3'600'100'000), SessionAction::kNothing);
  EXPECT_EQ(session.state(), SessionState::kActive);
}

TEST(TrainerSessionTest, AnEndWithoutGoodbyeIsForcedAfterTheGrace) {
  TrainerSession session = Active();
  EXPECT_EQ(session.OnStreamEnd(1'000), SessionAction::kNothing) << "its leases still hold";
  EXPECT_EQ(session.state(), SessionState::kFenced);
  EXPECT_EQ(session.OnTick(1, kExitGraceUs), SessionAction::kNothing);
  EXPECT_EQ(session.OnTick(1, 1'000 + kExitGraceUs), SessionAction::kKill);
  EXPECT_EQ(session.OnTick(1, 2'000 + kExitGraceUs), SessionAction::kNothing) << "killed once";
  EXPECT_EQ(session.OnExit(), SessionAction::kEndLeases);
  EXPECT_EQ(session.state(), SessionState::kNone);
}

TEST(TrainerSessionTest, AGoodbyeEndsItWithoutForce) {
  TrainerSession session = Active();
  session.OnGoodbye();
  EXPECT_FALSE(session.MayLease());
  EXPECT_EQ(session.OnStreamEnd(1'000), SessionAction::kEndLeases);
  EXPECT_EQ(session.state(), SessionState::kNone);
}

TEST(TrainerSessionTest, DeathEndsTheLeasesInEveryState) {
  TrainerSession session = Active();
  EXPECT_EQ(session.OnExit(), SessionAction::kEndLeases);
  EXPECT_EQ(session.OnExit(), SessionAction::kNothing) << "nothing is left to end";
  session.OnAttached(6, 0);
  EXPECT_EQ(session.OnExit(), SessionAction::kEndLeases);
}

}  // namespace
}  // namespace alchemist
