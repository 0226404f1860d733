// QuickstartRun: one run of the quickstart: asks a model, corrects it while others ask, waits until
// what was learned is served, asks again. It starts the daemons it needs and ends them. One thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_QUICKSTART_RUN_H_
#define ALCHEMIST_TOOLS_QUICKSTART_QUICKSTART_RUN_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "tools/daemons/daemons.h"
#include "tools/quickstart/feedback_clients.h"
#include "tools/quickstart/progress.h"
#include "tools/quickstart/quiz.h"
#include "tools/quickstart/run_result.h"
#include "tools/quickstart/screen.h"
#include "tools/quickstart/traffic.h"
#include "tools/world/trial.h"
#include "tools/world/world.h"

namespace alchemist {

struct QuickstartOptions {
  // Programs, model, flags, the folder for everything, and what ends a run early.
  DaemonsOptions daemons;
  int64_t corrected_max = 0;  // Facts of the trial to use; 0 is all.
  int64_t retained_max = 0;
  Pace pace;
  double traffic_per_second = 0;
  double idle_seconds = 0;  // How long serving is measured without training.
  double learn_seconds_max = 0;
};

class QuickstartRun {
 public:
  // `title` heads the progress on `screen`, which must outlive the run.
  QuickstartRun(QuickstartOptions options, uint64_t seed, const std::string& title, Screen* screen);

  // REQUIRES: called once.
  absl::StatusOr<RunResult> Run();

 private:
  absl::Status RunPhases();
  // The model as it is. On a server of its own: the questions of the test must not be in the log
  // from which training replays.
  absl::Status ExamineBefore();
  absl::Status MeasureIdle();
  absl::Status Learn();
  absl::Status ExamineAfter();

  // Asks the questions of the test at what serves now.
  absl::Status Examine(const std::string& phase, Score& corrected, Score& retained);
  absl::StatusOr<Score> Ask(const std::string& phase, const std::vector<Fact>& facts);

  absl::Status Start(const std::string& name, bool with_trainer);
  // Keeps the screen until `look` returns true, or false when it has not within `seconds_max`.
  absl::StatusOr<bool> WatchUntil(const std::string& phase, double seconds_max,
                                  const std::function<absl::StatusOr<bool>()>& look);
  absl::Status Look();
  absl::Status ReadStatus();
  // Reads what became of the feedback; whether all passes over all of it are in what serves.
  absl::StatusOr<bool> ReadFeedback();
  absl::StatusOr<bool> AllPassesPublished(const std::vector<v1::Feedback>& feedback);
  void TakeTokens(const v1::TokenCounts& tokens);

  const QuickstartOptions options_;
  const World world_;
  Trial trial_;
  Screen* const screen_;
  const int64_t begin_us_;
  RunResult result_;
  Progress progress_;
  std::optional<Daemons> daemons_;
  v1::GetStatusResponse last_status_;  // The last one read, and when to read the next.
  int64_t next_status_us_ = 0;
  int64_t next_feedback_us_ = 0;
  std::optional<Traffic> traffic_;          // Asks the daemons' client.
  std::optional<FeedbackClients> clients_;  // Likewise.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_QUICKSTART_RUN_H_
