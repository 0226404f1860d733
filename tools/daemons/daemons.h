// Daemons: alchemist-server and alchemist-trainer as real processes on one model, in a folder that
// goes with this object. Either is started, stopped and killed in any order; both keep their data
// over restarts. Waits go by conditions with a deadline, and end early when the server has died;
// like the trainer's unit, they start a trainer again that exits to be started again. Failures
// carry the daemons' logs. One thread, but for client().
#ifndef ALCHEMIST_TOOLS_DAEMONS_DAEMONS_H_
#define ALCHEMIST_TOOLS_DAEMONS_DAEMONS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "tools/client/alchemist_client.h"
#include "tools/daemons/process.h"

namespace alchemist {

struct DaemonsOptions {
  std::string server_program;
  std::string trainer_program;
  std::string model_directory;
  // Made when it is not there, removed with the object. The path of a socket in it must not exceed
  // 107 bytes.
  std::string directory;
  // Of every start, beside the model's and the folders' own.
  std::vector<std::string> server_flags = {};
  std::vector<std::string> trainer_flags = {};
  // A command that execs the daemon, like prlimit; of every start.
  std::vector<std::string> wrapper = {};
  // Waits are CANCELLED once it is true.
  const std::atomic<bool>* stop = nullptr;
};

// How one start of a daemon differs from the plain one.
struct DaemonStart {
  std::vector<std::string> flags = {};    // Win over those of the options.
  std::string kill_point = {};            // ALCHEMIST_KILL_POINT; "" is none.
  std::vector<std::string> wrapper = {};  // Inside that of the options.
};

class Daemons {
 public:
  static constexpr int64_t kDeadlineUs = 120'000'000;

  explicit Daemons(DaemonsOptions options) : options_(std::move(options)) {}
  ~Daemons();

  // Starts the server and waits until it answers.
  absl::Status StartServer(const DaemonStart& start = {});
  // As StartServer, without waiting: for starts that are meant to fail.
  absl::Status SpawnServer(const DaemonStart& start = {});
  // Starts the trainer and does not wait for it to attach.
  absl::Status StartTrainer(const DaemonStart& start = {});
  // SIGTERM; an error unless the daemon then exits with code 0.
  absl::Status StopServer();
  absl::Status StopTrainer();

  Process& server() { return *server_; }
  Process& trainer() { return *trainer_; }
  AlchemistClient& client() { return *client_; }  // From StartServer to StopServer.
  int port() const { return port_; }
  // The trainer has ended, and not to be started again.
  bool TrainerFailed();

  const std::string& directory() const { return options_.directory; }
  std::string runtime_dir() const { return directory() + "/run"; }
  std::string checkpoint_dir() const { return directory() + "/checkpoints"; }
  // Holds the port of the server's metrics, while it serves.
  std::string metrics_port_file() const { return directory() + "/metrics_port"; }
  std::string kill_log() const { return directory() + "/kill_points"; }

  // Waits until `condition` holds. DeadlineExceeded naming `what`; Aborted when the server ends
  // first.
  absl::Status WaitFor(const std::string& what, const std::function<bool()>& condition,
                       int64_t timeout_us = kDeadlineUs);
  absl::Status WaitForTrainer(v1::TrainerState state);
  // Until every one of these is DONE.
  absl::Status WaitForDone(const std::vector<std::string>& feedback_ids);
  // And in a published revision: the checkpoint, which says DONE, comes before it.
  absl::Status WaitForServed(const std::vector<std::string>& feedback_ids);
  absl::Status WaitForRevision(uint64_t number);
  // Until no request runs, no record is leased and serving holds no K/V page: nothing leaked.
  absl::Status WaitUntilNothingIsHeld();

  // The logs of both, for a failure's message.
  std::string Logs() const;

 private:
  absl::Status WaitForEach(const std::string& what, const std::vector<std::string>& feedback_ids,
                           const std::function<bool(const v1::Feedback&)>& condition);
  absl::StatusOr<std::unique_ptr<Process>> Start(std::vector<std::string> command,
                                                 const DaemonStart& start,
                                                 const std::string& log) const;
  absl::Status Stop(Process& process);
  absl::Status Supervise();

  const DaemonsOptions options_;
  std::unique_ptr<Process> server_;
  std::unique_ptr<Process> trainer_;
  DaemonStart trainer_start_;
  std::unique_ptr<AlchemistClient> client_;
  int port_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_DAEMONS_DAEMONS_H_
