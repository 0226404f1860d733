// The rows of the feedback log as plain structs, so that whoever reads the log needs neither SQL
// nor protobuf. The enumerators have the numbers of proto/alchemist/v1. Values; any thread.
#ifndef ALCHEMIST_SERVER_LOG_ROWS_H_
#define ALCHEMIST_SERVER_LOG_ROWS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace alchemist {

struct BaseId {
  std::string base_digest;
  std::string tokenizer_digest;
  friend bool operator==(const BaseId&, const BaseId&) = default;
};

struct RevisionId {
  std::string adapter_id;
  int64_t number = 0;
  std::string digest;
  friend bool operator==(const RevisionId&, const RevisionId&) = default;
};

enum class FinishReason : int32_t { kEos = 1, kLength = 2, kStop = 3, kCancelled = 4 };

struct CompletionRow {
  std::string completion_id;
  std::string tenant;  // What its call said; "" = nothing.
  BaseId base;
  RevisionId revision;  // Sampled the answer.
  std::vector<int32_t> prompt_tokens;
  std::vector<int32_t> response_tokens;
  std::vector<float> log_probs;  // Of response_tokens, at temperature 1 and before truncation.
  FinishReason finish_reason = FinishReason::kEos;
  int64_t created_unix_us = 0;
  bool is_steered = false;  // What the request asked for, not the model alone, chose the tokens: it
                            // is not replayed. Known when it is added, and not kept.
};

enum class Disposition : int32_t {
  kRecordHeld = 1,
  kWillRecompute = 2,
  kQueued = 3,
  kNotTrainedYet = 5,
  kRejected = 6,
};

// How far training has come with a feedback, as its row says.
enum class TrainingEnd : int32_t {
  kOpen = 0,  // Passes are, or may be, to be made.
  kDone = 1,  // No further pass will be made, says the trainer's newest checkpoint.
  // The next two are for good, whatever checkpoint the trainer comes back with.
  kQuarantined = 2,  // Its own gradient is not finite.
  kSettled = 3,      // It was done when a revision was accepted.
};

// What the client sent, and what the server knew when it came.
struct NewFeedback {
  std::string feedback_id;
  std::string tenant;
  std::string idempotency_key;
  std::string completion_id;
  int32_t rating = 0;  // +1 or -1; 0 is a correction.
  std::string correction_text;
  std::vector<int32_t> correction_tokens;  // Of correction_text, as they are trained.
  Disposition disposition = Disposition::kQueued;
  std::string reason;
  int64_t submitted_unix_us = 0;

  bool is_correction() const { return rating == 0; }
};

struct FeedbackRow : NewFeedback {
  int64_t seq = 0;            // Order of admission, from 1; never reused.
  bool trainable = false;     // Some pass is, or was, to be made over it.
  std::string superseded_by;  // The correction that took its place: no further pass is made.
  int64_t passes = 0;         // In the lineage of the trainer's newest checkpoint.
  TrainingEnd end = TrainingEnd::kOpen;
  bool record_reused = false;
  std::optional<RevisionId> first_revision;  // The first published one it took part in.
};

// What the trainer's checkpoint says of one feedback.
struct FeedbackProgress {
  std::string feedback_id;
  int64_t passes = 0;
  TrainingEnd end = TrainingEnd::kOpen;
};

struct FeedbackPasses {
  std::string feedback_id;
  int64_t passes = 0;
  friend bool operator==(const FeedbackPasses&, const FeedbackPasses&) = default;
};

struct RevisionRow {
  RevisionId revision;
  int64_t parent = 0;  // Number of the revision it was trained from; revision 0 is its own.
  int64_t step = 0;
  int64_t published_unix_us = 0;
  std::vector<FeedbackPasses> lineage;  // Passes added since the parent, by feedback id.
  int64_t feedback_count = 0;           // Set by List, which may cut the lineage.
};

struct AdapterRow {
  std::string adapter_id;
  int64_t next_number = 0;
  RevisionId serving;
  bool pinned = false;
};

// Rows run or read by the trainer up to a checkpoint, since the one before (link.proto TokensRun).
struct StepTokens {
  int64_t first_pass_prompt_reused = 0;
  int64_t first_pass_prompt_recomputed = 0;
  int64_t first_pass_beyond_drift = 0;
  int64_t later_pass_reused = 0;
  int64_t later_pass_recomputed = 0;
  int64_t replay_reused = 0;
  int64_t replay_recomputed = 0;
  int64_t response_run = 0;
  int64_t response_reused = 0;
  friend bool operator==(const StepTokens&, const StepTokens&) = default;
};

// What the trainer has done in the life of the log.
struct StepTotals {
  int64_t steps = 0;
  StepTokens tokens;
};

struct StepRow {
  int64_t step = 0;  // Of the checkpoint.
  double loss = 0;
  double update_norm = 0;
  StepTokens tokens;
  int64_t recorded_unix_us = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_LOG_ROWS_H_
