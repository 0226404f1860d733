#include <poll.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/gpu_check/checks.h"
#include "tools/gpu_check/decode_load.h"
#include "tools/gpu_check/mps_daemon.h"

namespace alchemist {
namespace {

constexpr int64_t kQueuedUs[] = {200, 1'000, 5'000, 20'000};
constexpr double kSlowdownMax = 1.05;  // Of a step at p95: what training may cost serving.

// A decode-like process and a training-like one, each fitted to the device while it was alone.
struct Pair {
  std::unique_ptr<AgentProcess> decoder;
  std::unique_ptr<AgentProcess> trainer;
  DecodeLoad decode;
  TrainingLoad training;
};

absl::StatusOr<Pair> StartPair(CheckRun& run, const std::string& mps_directory) {
  ASSIGN_OR_RETURN(auto agents,
                   run.StartAgents({"decoder", "trainer"}, {.mps_directory = mps_directory}));
  Pair pair;
  pair.decoder = std::move(agents[0]);
  pair.trainer = std::move(agents[1]);
  ASSIGN_OR_RETURN(pair.decode, PrepareDecode(run, *pair.decoder));
  ASSIGN_OR_RETURN(pair.training, PrepareTraining(run, *pair.trainer));
  return pair;
}

// What both did beside each other for one window.
struct Beside {
  AgentMessage steps;
  double queued_us = 0;       // At most.
  double training_share = 0;  // Of the window: what the units that ended take alone.
};

absl::StatusOr<Beside> RunBeside(CheckRun& run, Pair& pair, int64_t queued_us) {
  const int64_t window_ms = run.form().window_ms;
  const int64_t units = pair.training.UnitsIn(queued_us);
  RETURN_IF_ERROR(
      pair.trainer->Send("training", {.values = {{"ms", window_ms}, {"queued_units", units}}}));
  RETURN_IF_ERROR(pair.decoder->Send("decode_steps", {.values = pair.decode.Arguments(window_ms)}));
  Beside beside;
  ASSIGN_OR_RETURN(beside.steps, pair.decoder->Receive(run.TimeoutUs()));
  ASSIGN_OR_RETURN(const AgentMessage trained, pair.trainer->Receive(run.TimeoutUs()));
  beside.queued_us = static_cast<double>(units) * pair.training.unit_us;
  beside.training_share =
      trained.Number("units") * pair.training.unit_us / (1000.0 * static_cast<double>(window_ms));
  return beside;
}

void AddSteps(const AgentMessage& steps, const std::string& row, CheckResult& result) {
  for (const char* percentile : {"p50", "p95", "p99"}) {
    AddMeasurement(result, absl::StrCat(row, "/step_", percentile),
                   steps.Number(absl::StrCat(percentile, "_us")), "us");
  }
  AddMeasurement(result, row + "/steps", steps.Number("steps"), "steps");
}

absl::Status CheckPair(CheckRun& run, const std::string& mps_directory, CheckResult& result) {
  ASSIGN_OR_RETURN(Pair pair, StartPair(run, mps_directory));
  absl::StrAppendFormat(&result.done,
                        "ran steps of %d kernels that read %d KiB each, alone and beside products "
                        "of %.0f us; the training share is what the products that ended take alone",
                        pair.decode.kernels, pair.decode.bytes >> 10, pair.training.unit_us);
  ASSIGN_OR_RETURN(const AgentMessage alone, run.Ask(*pair.decoder, "decode_steps",
                                                     pair.decode.Arguments(run.form().window_ms)));
  AddSteps(alone, "alone", result);
  const double p95_alone = alone.Number("p95_us");
  result.happened = absl::StrFormat("p95 of a step: %.0f us alone", p95_alone);
  double grant_us = 0;  // The most that is queued before steps go beyond their bound.
  bool within = true;
  for (const int64_t queued_us : kQueuedUs) {
    ASSIGN_OR_RETURN(const Beside beside, RunBeside(run, pair, queued_us));
    const std::string row = absl::StrCat("queued_", queued_us, "_us");
    AddSteps(beside.steps, row, result);
    AddMeasurement(result, row + "/queued", beside.queued_us, "us");
    AddMeasurement(result, row + "/training_share", 100 * beside.training_share, "%");
    const double p95 = beside.steps.Number("p95_us");
    absl::StrAppendFormat(&result.happened, "; %.0f us with %.1f ms queued (training %.0f%%)", p95,
                          beside.queued_us / 1000, 100 * beside.training_share);
    // Steps follow each other: fewer of them in the same time are longer ones.
    within = within && p95 <= kSlowdownMax * p95_alone &&
             kSlowdownMax * beside.steps.Number("steps") >= alone.Number("steps");
    if (within) grant_us = beside.queued_us;
  }
  result.verdict = CheckVerdict::kMeasured;
  result.consequence =
      grant_us > 0 ? absl::StrFormat(
                         "with at most %.0f us of training queued, p95 and the number of steps "
                         "stay within 5%%",
                         grant_us)
                   : "nothing can be queued without steps becoming 5% longer: training runs only "
                     "while no request does";
  return absl::OkStatus();
}

absl::Status CheckTimeSliced(CheckRun& run, CheckResult& result) {
  return CheckPair(run, "", result);
}

// Calls `check` with the directory of an MPS daemon of its own; where there is none to be had, or
// the driver does not use it, the result says so.
absl::Status WithMps(CheckRun& run, CheckResult& result,
                     absl::Status (*check)(CheckRun&, const std::string&, CheckResult&)) {
  const std::string directory = absl::StrCat(run.log_directory(), "/mps-", result.id);
  if (mkdir(directory.c_str(), 0700) != 0) return ErrnoStatus("mkdir", directory);
  const auto daemon = MpsDaemon::Start(directory);
  if (!daemon.ok()) {
    result.happened = std::string(daemon.status().message());
    return absl::OkStatus();
  }
  result.done = "started an MPS daemon; ";
  result.consequence = "MPS stays off here";
  const absl::Status status = check(run, (*daemon)->pipe_directory(), result);
  if (absl::IsFailedPrecondition(status)) {
    result.happened = std::string(status.message());
    return absl::OkStatus();
  }
  return status;
}

absl::Status CheckMps(CheckRun& run, CheckResult& result) {
  return WithMps(run, result, CheckPair);
}

// Whether the decoder's steps go on while and after the trainer makes a store that faults.
absl::Status CheckFaultOf(CheckRun& run, const std::string& mps_directory, CheckResult& result) {
  absl::StrAppend(
      &result.done,
      "made the training-like process store to an address that nobody has, beside steps");
  ASSIGN_OR_RETURN(Pair pair, StartPair(run, mps_directory));
  const nlohmann::json arguments = pair.decode.Arguments(run.form().window_ms);
  RETURN_IF_ERROR(pair.decoder->Send("decode_steps", {.values = arguments}));
  poll(nullptr, 0, static_cast<int>(run.form().window_ms / 4));  // Until steps are under way.
  const absl::Status fault = run.Ask(*pair.trainer, "fault").status();
  if (fault.ok()) return absl::InternalError("the store did not fault");
  // With MPS the one that faults may be told otherwise, by its server.
  const bool is_fault = absl::IsOutOfRange(fault) || !mps_directory.empty();
  if (!is_fault || !IsDriversAnswer(fault)) return fault;
  const absl::Status during = pair.decoder->Receive(run.TimeoutUs()).status();
  const absl::Status after =
      during.ok() ? run.Ask(*pair.decoder, "decode_steps", arguments).status() : during;
  const bool lives = after.ok();
  result.happened = absl::StrCat("the fault: ", fault.message(), "; the decoder ",
                                 lives ? "went on" : absl::StrCat("had ", after.message()));
  AddMeasurement(result, "decoder_lives", lives ? 1 : 0, "of 1");
  result.verdict = lives ? CheckVerdict::kPass : CheckVerdict::kFail;
  result.consequence = lives ? "a trainer's fault is the trainer's alone"
                             : "a trainer's fault kills serving: not to be run like this";
  return absl::OkStatus();
}

absl::Status CheckFault(CheckRun& run, CheckResult& result) {
  return CheckFaultOf(run, "", result);
}

// Known to break isolation: a fact for the operator, no failure of the machine.
absl::Status CheckFaultMps(CheckRun& run, CheckResult& result) {
  RETURN_IF_ERROR(WithMps(run, result, CheckFaultOf));
  if (result.verdict == CheckVerdict::kNotRun) return absl::OkStatus();
  const bool lives = result.verdict == CheckVerdict::kPass;
  result.verdict = CheckVerdict::kMeasured;
  result.consequence = lives ? "MPS isolates this fault here; it stays an opt-in"
                             : "MPS stays an opt-in: with it a trainer's fault kills serving";
  return absl::OkStatus();
}

}  // namespace

CheckFunctions InterferenceChecks() {
  return {{"interference.time_sliced", CheckTimeSliced},
          {"interference.mps", CheckMps},
          {"interference.fault", CheckFault},
          {"interference.fault_mps", CheckFaultMps}};
}

}  // namespace alchemist
