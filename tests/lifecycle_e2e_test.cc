// Either daemon may start first, stop, stand still, crash and come back; and nobody else gets in at
// the sockets between them (RELIABILITY.md: F6, F7, F21).
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "activation_store/attach.h"
#include "base/file.h"
#include "base/packet.h"
#include "proto/alchemist/v1/link.grpc.pb.h"
#include "tests/assert_ok.h"
#include "tests/test_daemons.h"
#include "tests/test_model.h"
#include "tools/client/requests.h"
#include "tools/daemons/process.h"

namespace alchemist {
namespace {

constexpr int64_t kPacketTimeoutUs = 30'000'000;

class LifecycleE2eTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_OK(WriteTestModel(ModelFamily::kLlama, ModelDirectory())); }
  static std::string ModelDirectory() { return ::testing::TempDir() + "/model"; }

  // One way around the loop: an answer, its correction, trained and published. What every order of
  // starts and stops must lead to.
  void ExpectTheLoopCloses() {
    ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
    const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(40, ++rounds_), 4));
    ASSERT_OK(answer);
    const auto feedback = daemons_.client().SubmitFeedback(
        CorrectionOf(answer->final.completion_id(), absl::StrCat("round", rounds_), "right"));
    ASSERT_OK(feedback);
    ASSERT_OK(daemons_.WaitForServed({feedback->feedback_id()}));
    const auto trained = daemons_.client().GetFeedback(feedback->feedback_id());
    ASSERT_OK(trained);
    // Numbers only grow.
    EXPECT_GT(trained->first_revision().number(), newest_revision_) << trained->DebugString();
    newest_revision_ = daemons_.client().GetStatus()->revision().number();
    ASSERT_OK(daemons_.WaitUntilNothingIsHeld());
  }

  void ExpectServingWorks() {
    EXPECT_OK(daemons_.client().Complete(GreedyRequest(TestPrompt(40, ++rounds_), 4)));
  }

  uint64_t rounds_ = 0;
  uint64_t newest_revision_ = 0;
  TestDaemons daemons_{ModelDirectory()};
};

TEST_F(LifecycleE2eTest, TheServerStartsFirstAndStopsLast) {
  ASSERT_OK(daemons_.StartServer());
  ExpectServingWorks();
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  ASSERT_OK(daemons_.StopTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ABSENT));
  ExpectServingWorks();
  ASSERT_OK(daemons_.StopServer());
}

TEST_F(LifecycleE2eTest, TheTrainerStartsFirstAndStopsLast) {
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.StartServer());
  ExpectTheLoopCloses();
  ASSERT_OK(daemons_.StopServer());
  EXPECT_TRUE(daemons_.trainer().running());
  ASSERT_OK(daemons_.StopTrainer());
}

TEST_F(LifecycleE2eTest, TheTrainerAttachesAgainWhenTheServerIsRestarted) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  ASSERT_OK(daemons_.StopServer());
  ASSERT_OK(daemons_.StartServer());
  ExpectTheLoopCloses();
  EXPECT_TRUE(daemons_.trainer().running()) << daemons_.Logs();
}

TEST_F(LifecycleE2eTest, TheTrainerAttachesAgainWhenTheServerIsKilled) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  const int64_t descriptors = daemons_.trainer().CountDescriptors();
  daemons_.server().Signal(SIGKILL);
  ASSERT_TRUE(daemons_.server().WaitForExit(TestDaemons::kDeadlineUs));
  ASSERT_OK(daemons_.StartServer());
  ExpectTheLoopCloses();
  EXPECT_TRUE(daemons_.trainer().running()) << daemons_.Logs();
  EXPECT_LE(daemons_.trainer().CountDescriptors(), descriptors + 1) << daemons_.Logs();
}

TEST_F(LifecycleE2eTest, AClientThatSaysNothingDoesNotHoldTheServerUp) {
  ASSERT_OK(daemons_.StartServer());
  ExpectServingWorks();
  // HTTP/2 as far as the client's settings; the farewell, which asks for an answer, gets none.
  const FileDescriptor silent(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(daemons_.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(silent.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  std::string hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  hello.append(3, '\0').append(1, '\4').append(5, '\0');  // An empty SETTINGS frame.
  ASSERT_EQ(write(silent.get(), hello.data(), hello.size()), static_cast<ssize_t>(hello.size()));
  char answer;
  ASSERT_EQ(read(silent.get(), &answer, 1), 1);
  daemons_.server().Signal(SIGTERM);
  EXPECT_TRUE(daemons_.server().WaitForExit(/*timeout_us=*/5'000'000)) << daemons_.Logs();
  EXPECT_TRUE(daemons_.server().exited_with(0)) << daemons_.Logs();
}

TEST_F(LifecycleE2eTest, ASecondServerOnTheSameFoldersIsRefused) {
  ASSERT_OK(daemons_.StartServer());
  TestDaemons other(ModelDirectory());
  for (const std::string& flag : {"--runtime_dir=" + daemons_.runtime_dir(),
                                  "--data_dir=" + daemons_.directory() + "/data"}) {
    ASSERT_OK(other.SpawnServer({.flags = {flag}}));
    ASSERT_TRUE(other.server().WaitForExit(Daemons::kDeadlineUs)) << flag;
    EXPECT_TRUE(other.server().exited_with(1)) << flag;
    EXPECT_NE(other.server().Log().find(flag.substr(0, flag.find('=')) +
                                        ": another alchemist-server runs on"),
              std::string::npos)
        << other.Logs();
  }
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();  // Sockets and data are still the first one's.
}

TEST_F(LifecycleE2eTest, AnotherTrainerFollowsOneThatStopped) {
  ASSERT_OK(daemons_.StartServer());
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(daemons_.StartTrainer());
    ExpectTheLoopCloses();
    ASSERT_OK(daemons_.StopTrainer());
  }
}

TEST_F(LifecycleE2eTest, AnotherTrainerFollowsOneThatWasKilled) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  const int64_t descriptors = daemons_.server().CountDescriptors();
  daemons_.trainer().Signal(SIGKILL);
  ASSERT_TRUE(daemons_.trainer().WaitForExit(TestDaemons::kDeadlineUs));
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ABSENT));
  ExpectServingWorks();
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  // A client's connection may come and go.
  EXPECT_LE(daemons_.server().CountDescriptors(), descriptors + 1) << daemons_.Logs();
}

TEST_F(LifecycleE2eTest, BothAreKilledAndEitherStartsFirst) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  for (const bool server_first : {true, false}) {
    // Something is under way: a record is lent, or a step is being made.
    const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(40, ++rounds_), 4));
    ASSERT_OK(answer);
    const auto feedback = daemons_.client().SubmitFeedback(
        CorrectionOf(answer->final.completion_id(), absl::StrCat("killed", rounds_), "right"));
    ASSERT_OK(feedback);
    for (Process* process : {&daemons_.trainer(), &daemons_.server()}) {
      process->Signal(SIGKILL);
      ASSERT_TRUE(process->WaitForExit(TestDaemons::kDeadlineUs));
    }
    if (server_first) {
      ASSERT_OK(daemons_.StartServer());
      ASSERT_OK(daemons_.StartTrainer());
    } else {
      ASSERT_OK(daemons_.StartTrainer());
      ASSERT_OK(daemons_.StartServer());
    }
    ExpectTheLoopCloses();
    ASSERT_OK(daemons_.WaitForServed({feedback->feedback_id()}));
  }
  const auto all = daemons_.client().ListFeedback();
  ASSERT_OK(all);
  EXPECT_EQ(all->size(), 5u);
  for (const v1::Feedback& feedback : *all)
    EXPECT_EQ(feedback.passes(), 3) << feedback.DebugString();
}

TEST_F(LifecycleE2eTest, ATrainerThatLostItsCheckpointsGoesOnFromWhatServes) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  ASSERT_OK(daemons_.StopTrainer());
  ASSERT_OK(
      daemons_.StartTrainer({.flags = {"--checkpoint_dir=" + daemons_.directory() + "/others"}}));
  ExpectTheLoopCloses();
  const auto all = daemons_.client().ListFeedback();
  ASSERT_OK(all);
  for (const v1::Feedback& feedback : *all) EXPECT_LE(feedback.passes(), 3);
}

TEST_F(LifecycleE2eTest, ARollbackServesAndTrainsFromTheOlderRevision) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  ASSERT_OK(daemons_.client().Rollback(0));
  EXPECT_EQ(daemons_.client().GetStatus()->revision().number(), 0u);
  const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(9, 1), 2));
  ASSERT_OK(answer);
  EXPECT_EQ(answer->final.revision().number(), 0u);
  ExpectTheLoopCloses();
}

TEST_F(LifecycleE2eTest, PausedTrainingWaitsAndAPinnedAdapterIsNotSwapped) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  ASSERT_OK(daemons_.client().PauseTraining());
  ASSERT_OK(daemons_.client().Pin(true));
  const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(40, 1), 4));
  ASSERT_OK(answer);
  const auto feedback =
      daemons_.client().SubmitFeedback(CorrectionOf(answer->final.completion_id(), "key", "right"));
  ASSERT_OK(feedback);
  EXPECT_TRUE(daemons_.client().GetStatus()->training_paused());
  EXPECT_EQ(daemons_.client().GetFeedback(feedback->feedback_id())->state(),
            v1::FEEDBACK_STATE_QUEUED);
  ASSERT_OK(daemons_.client().ResumeTraining());
  ASSERT_OK(daemons_.WaitForDone({feedback->feedback_id()}));
  EXPECT_EQ(daemons_.client().GetStatus()->revision().number(), 0u);
  ASSERT_OK(daemons_.client().Pin(false));
  ASSERT_OK(daemons_.WaitForRevision(1));
}

// A trainer that stands still is suspect, keeps its leases, fails nobody, and goes on.
TEST_F(LifecycleE2eTest, ATrainerThatStandsStillIsNeitherMissedNorKilled) {
  ASSERT_OK(daemons_.StartServer());
  ASSERT_OK(daemons_.StartTrainer());
  ExpectTheLoopCloses();
  daemons_.trainer().Signal(SIGSTOP);
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_SUSPECT));
  const auto answer = daemons_.client().Complete(GreedyRequest(TestPrompt(40, 99), 4));
  ASSERT_OK(answer);
  ASSERT_OK(daemons_.client().SubmitFeedback(
      CorrectionOf(answer->final.completion_id(), "meanwhile", "right")));
  EXPECT_TRUE(daemons_.trainer().running());
  daemons_.trainer().Signal(SIGCONT);
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  ExpectTheLoopCloses();
  EXPECT_TRUE(daemons_.trainer().running()) << daemons_.Logs();
}

// ---- Who may not come in (F21) ----

class SocketsE2eTest : public LifecycleE2eTest {
 protected:
  void SetUp() override {
    ASSERT_OK(daemons_.StartServer());
    descriptors_ = daemons_.server().CountDescriptors();
  }
  // Whoever knocked: the server has let go of everything of it, and a trainer still gets in.
  void TearDown() override {
    EXPECT_OK(daemons_.WaitFor("descriptors to be closed", [&] {
      return daemons_.server().CountDescriptors() <= descriptors_;
    }));
    ASSERT_OK(daemons_.StartTrainer());
    ExpectTheLoopCloses();
  }

  std::string store_socket() const { return daemons_.runtime_dir() + "/store.sock"; }

  // Runs attach_peer and waits until the server has done with it.
  void RunPeer(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ProgramPath("tests/attach_peer"));
    auto peer = Process::Start({arguments, {}, daemons_.directory() + "/peer.log"});
    ASSERT_OK(peer);
    ASSERT_TRUE((*peer)->WaitForExit(TestDaemons::kDeadlineUs));
    EXPECT_TRUE((*peer)->exited_with(0)) << (*peer)->Log() << daemons_.Logs();
    ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ABSENT));
  }

  // The reply of the attach socket, as a trainer gets it. Its descriptors are closed again.
  static absl::StatusOr<AttachReply> ReadReply(const FileDescriptor& socket) {
    ASSIGN_OR_RETURN(const Packet packet, ReceivePacket(socket.get(), sizeof(AttachReply),
                                                        kAttachDescriptorsMax, kPacketTimeoutUs));
    AttachReply reply;
    if (packet.bytes.size() != sizeof(reply)) return absl::InternalError("a short reply");
    std::memcpy(&reply, packet.bytes.data(), sizeof(reply));
    return reply;
  }

  // How Link.Session ends for a peer that says `hello` first.
  grpc::StatusCode LinkStatus(const v1::TrainerMessage& hello) {
    const auto channel = grpc::CreateChannel("unix:" + daemons_.runtime_dir() + "/link.sock",
                                             grpc::InsecureChannelCredentials());
    const auto stub = v1::Link::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const auto stream = stub->Session(&context);
    stream->Write(hello);
    v1::ServerMessage message;
    EXPECT_FALSE(stream->Read(&message)) << message.DebugString();
    return stream->Finish().error_code();
  }

  int64_t descriptors_ = 0;
};

TEST_F(SocketsE2eTest, TheSocketsAreForTheirUserOnly) {
  for (const char* name : {"/store.sock", "/link.sock"}) {
    struct stat entry = {};
    ASSERT_EQ(stat((daemons_.runtime_dir() + name).c_str(), &entry), 0);
    EXPECT_EQ(entry.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(SocketsE2eTest, TheLinkIsClosedWithoutAnAttachedTrainer) {
  v1::TrainerMessage message;
  message.mutable_hello()->set_session_secret(std::string(16, '\0'));
  EXPECT_EQ(LinkStatus(message), grpc::StatusCode::FAILED_PRECONDITION);
  message.mutable_goodbye();
  EXPECT_EQ(LinkStatus(message), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(SocketsE2eTest, AWrongSecretEpochOrCanaryIsRefused) {
  RunPeer({"secrets", store_socket(), daemons_.runtime_dir() + "/link.sock"});
}

TEST_F(SocketsE2eTest, GarbageAndDescriptorsEndTheSession) {
  RunPeer({"garbage", store_socket()});
  // A second time: what the first one sent is no obstacle.
  RunPeer({"garbage", store_socket()});
}

TEST_F(SocketsE2eTest, ASecondTrainerIsRefusedAndTheFirstOneWorks) {
  ASSERT_OK(daemons_.StartTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ACTIVE));
  auto socket = ConnectSeqpacket(store_socket());
  ASSERT_OK(socket);
  const auto reply = ReadReply(*socket);
  ASSERT_OK(reply);
  EXPECT_EQ(reply->status, AttachStatus::kBusy);
  EXPECT_EQ(reply->secret, (std::array<uint8_t, 16>{}));
  ExpectTheLoopCloses();
  ASSERT_OK(daemons_.StopTrainer());
  ASSERT_OK(daemons_.WaitForTrainer(v1::TRAINER_STATE_ABSENT));
}

TEST_F(SocketsE2eTest, AnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  // The folder is private; even who gets through it is refused at the socket.
  ASSERT_EQ(chmod(daemons_.runtime_dir().c_str(), 0755), 0);
  ASSERT_EQ(chmod(store_socket().c_str(), 0666), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Relative to the folder, since those above it are private too.
    if (chdir(daemons_.runtime_dir().c_str()) != 0 || setresuid(65534, 65534, 65534) != 0) _exit(3);
    auto socket = ConnectSeqpacket("store.sock");
    if (!socket.ok()) _exit(4);
    const auto reply = ReadReply(*socket);
    _exit(reply.ok() && reply->status == AttachStatus::kWrongUser ? 0 : 5);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace alchemist
