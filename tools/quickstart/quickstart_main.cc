// quickstart: starts both daemons on a model, corrects it while others ask, and says what it
// learned, how fast, and what it forgot. deploy/quickstart.sh builds and calls it.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/flags.h"
#include "tools/quickstart/expectations.h"
#include "tools/quickstart/quickstart_run.h"
#include "tools/quickstart/report.h"

ABSL_FLAG(std::string, report, "", "Write what was measured into this file, as JSON.");
ABSL_FLAG(uint64_t, seed, 1,
          "Draws which facts are corrected, to what, in which order, and the adapter's start.");
ABSL_FLAG(int64_t, seeds, 1,
          "Runs, with the seeds from --seed on; the worst is reported and judged.");
ABSL_FLAG(std::string, model, "",
          "Another Hugging Face directory to run on; nothing is expected of it.");
ABSL_FLAG(std::string, committed_model, "", "The model that the expectations are for.");
ABSL_FLAG(std::string, server_program, "", "Path of alchemist-server.");
ABSL_FLAG(std::string, trainer_program, "", "Path of alchemist-trainer.");
ABSL_FLAG(std::string, work_dir, "", "Folder for data and sockets; what is made in it is removed.");
ABSL_FLAG(std::string, server_flags, "", "More flags for the server, with spaces between.");
ABSL_FLAG(std::string, trainer_flags, "", "More flags for the trainer, with spaces between.");
ABSL_FLAG(int64_t, facts, 0, "Facts to correct at most; 0 is all of the trial.");
ABSL_FLAG(int64_t, retained_facts, 0, "Untouched facts to ask about at most; 0 is all.");
ABSL_FLAG(double, facts_per_second, 2, "Facts that clients begin to correct in a second.");
ABSL_FLAG(int64_t, open_facts, 32,
          "Facts at most that are corrected, not yet answered right and not yet trained.");
ABSL_FLAG(double, traffic_per_second, 60, "Questions in a second by clients who do not correct.");
ABSL_FLAG(double, idle_seconds, 12, "How long serving is measured before the first correction.");
ABSL_FLAG(double, learn_seconds, 200, "Learning may take this long.");

namespace alchemist {
namespace {

constexpr char kUsage[] = R"(A model that learns while you watch.

Starts alchemist-server and alchemist-trainer, asks questions about a made-up world, corrects
answers while other clients keep asking, waits until what was learned is served, and asks again in
other words. deploy/quickstart.sh builds everything and calls this program.

Exit status: 0 when every expectation is met, or none is held against this model; 2 when one is
missed; 1 after an error; 130 or 143 when stopped by a signal.)";

constexpr int kExitError = 1;
constexpr int kExitMissed = 2;

std::atomic<bool> stop_requested{false};
std::atomic<int> stop_signal{0};

// A run notices the stop at its next look, and ends its daemons.
void HandleSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) {
    stop_signal = signal;
    stop_requested = true;
  };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

std::vector<std::string> SplitFlags(const std::string& flags) {
  return absl::StrSplit(flags, ' ', absl::SkipEmpty());
}

absl::StatusOr<QuickstartOptions> OptionsFromFlags() {
  QuickstartOptions options;
  DaemonsOptions& daemons = options.daemons;
  daemons.server_program = absl::GetFlag(FLAGS_server_program);
  daemons.trainer_program = absl::GetFlag(FLAGS_trainer_program);
  daemons.directory = absl::GetFlag(FLAGS_work_dir);
  daemons.model_directory = absl::GetFlag(FLAGS_model);
  if (daemons.model_directory.empty()) {
    daemons.model_directory = absl::GetFlag(FLAGS_committed_model);
  }
  daemons.server_flags = SplitFlags(absl::GetFlag(FLAGS_server_flags));
  daemons.trainer_flags = SplitFlags(absl::GetFlag(FLAGS_trainer_flags));
  // Should this program be killed, the kernel kills them too.
  daemons.wrapper = {"/usr/bin/setpriv", "--pdeathsig=KILL", "--"};
  daemons.stop = &stop_requested;
  for (const std::string* value : {&daemons.server_program, &daemons.trainer_program,
                                   &daemons.directory, &daemons.model_directory}) {
    if (value->empty()) {
      return absl::InvalidArgumentError(
          "--server_program, --trainer_program, --work_dir and --model or --committed_model are "
          "required; deploy/quickstart.sh knows them");
    }
  }
  options.corrected_max = absl::GetFlag(FLAGS_facts);
  options.retained_max = absl::GetFlag(FLAGS_retained_facts);
  options.pace = {absl::GetFlag(FLAGS_facts_per_second), absl::GetFlag(FLAGS_open_facts)};
  options.traffic_per_second = absl::GetFlag(FLAGS_traffic_per_second);
  options.idle_seconds = absl::GetFlag(FLAGS_idle_seconds);
  options.learn_seconds_max = absl::GetFlag(FLAGS_learn_seconds);
  if (!(options.pace.facts_per_second > 0 && options.pace.open_max > 0 &&
        options.traffic_per_second > 0 && absl::GetFlag(FLAGS_seeds) > 0)) {
    return absl::InvalidArgumentError(
        "--facts_per_second, --open_facts, --traffic_per_second and --seeds must be above 0");
  }
  return options;
}

absl::StatusOr<std::vector<RunResult>> RunAll(const QuickstartOptions& options, Screen& screen) {
  const int64_t seeds = absl::GetFlag(FLAGS_seeds);
  std::vector<RunResult> runs;
  for (int64_t i = 0; i < seeds; ++i) {
    const uint64_t seed = absl::GetFlag(FLAGS_seed) + static_cast<uint64_t>(i);
    std::string title = absl::StrCat("seed ", seed);
    if (seeds > 1) absl::StrAppend(&title, ", run ", i + 1, " of ", seeds);
    QuickstartRun run(options, seed, title, &screen);
    ASSIGN_OR_RETURN(const RunResult result, run.Run());
    std::cout << SummaryText(title, result) << std::flush;
    runs.push_back(result);
  }
  return runs;
}

// The exit status.
absl::StatusOr<int> RunAndJudge() {
  ASSIGN_OR_RETURN(const QuickstartOptions options, OptionsFromFlags());
  Screen screen(&std::cout, isatty(STDOUT_FILENO) == 1);
  ASSIGN_OR_RETURN(const std::vector<RunResult> runs, RunAll(options, screen));
  const RunResult worst = WorstOf(runs);
  const bool judged = absl::GetFlag(FLAGS_model).empty();
  const std::vector<Expectation> expectations = judged ? Judge(worst) : std::vector<Expectation>();
  if (runs.size() > 1) std::cout << SummaryText("The worst of each", worst);
  std::cout << VerdictText(expectations) << std::flush;
  if (const std::string file = absl::GetFlag(FLAGS_report); !file.empty()) {
    RETURN_IF_ERROR(ReplaceFile(file, ReportJson(runs, expectations)));
  }
  return AllMet(expectations) ? 0 : kExitMissed;
}

int Main(int argc, char** argv) {
  ParseFlags(argc, argv, kUsage);
  HandleSignals();
  const absl::StatusOr<int> code = RunAndJudge();
  if (stop_requested) return 128 + stop_signal;
  if (code.ok()) return *code;
  std::cerr << "quickstart: " << code.status().message() << "\n";
  return kExitError;
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) { return alchemist::Main(argc, argv); }
