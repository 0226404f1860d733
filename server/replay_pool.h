// ReplayPool: what may be trained again, so that new feedback does not make the model forget it:
// answers nobody found wrong, and corrections that have had their passes, as long as what serves
// holds some of them: what was rolled back is not taught again.
//
// Nor is anything taught against what was said since. Feedback that finds an answer wrong (a
// correction, a rating of -1) disputes all answers to the same prompt, of its tenant and adapter,
// those before and those after it; they do not come back. A correction also disputes earlier
// corrections of that prompt, while it is trained or what serves holds it.
//
// A draw is uniform over all of one adapter's and source's. A table of the feedback log and no copy
// in memory: it rolls back with its transaction. Owned by FeedbackLog; its thread only, inside a
// transaction.
#ifndef ALCHEMIST_SERVER_REPLAY_POOL_H_
#define ALCHEMIST_SERVER_REPLAY_POOL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/random.h"
#include "base/status.h"
#include "server/log_rows.h"
#include "server/sqlite_database.h"

namespace alchemist {

// The numbers stand in the log.
enum class ReplaySource { kAnswer = 0, kCorrection = 1 };

struct ReplayCandidate {
  std::string completion_id;
  std::string feedback_id;  // The correction whose tokens are trained; "": the answer's own.

  friend bool operator==(const ReplayCandidate&, const ReplayCandidate&) = default;
};

// The same for all completions of one tenant, adapter and prompt. Lower-case hex, 64 digits.
std::string PromptKey(const CompletionRow& completion);

class ReplayPool {
 public:
  // Answers to one prompt, the first: a prompt that is asked again and again is not all that is
  // replayed, and a dispute has no more to remove.
  static constexpr int64_t kAnswersPerPromptMax = 64;

  // The same seed and the same calls give the same draws. `database` must outlive the pool.
  ReplayPool(SqliteDatabase* database, uint64_t seed) : database_(database), random_(seed) {}

  // No change when the answer is there, when its prompt is disputed or has as many as it may.
  absl::Status AddAnswer(const CompletionRow& completion);
  // A revision settled the correction: it joins when the revision or an ancestor names it in its
  // lineage and no later correction disputes it. No change otherwise: its passes were rolled back
  // before any revision held them, or there is a newer word on its prompt.
  absl::Status AddSettled(absl::string_view adapter_id, int64_t revision,
                          absl::string_view feedback_id);
  // The revision serves again: exactly the settled corrections that it or an ancestor names and
  // nothing disputes stay or join.
  absl::Status OnRollback(absl::string_view adapter_id, int64_t revision);
  // Feedback disputes the prompt: its answers leave, and if it is a correction, those as well.
  absl::Status OnDispute(absl::string_view prompt_key, bool is_correction);

  // `count` different candidates; fewer when there are not so many. Looks at no more of them.
  absl::StatusOr<std::vector<ReplayCandidate>> Draw(absl::string_view adapter_id,
                                                    ReplaySource source, int64_t count);

 private:
  absl::Status RemoveAll(absl::string_view prompt_key, ReplaySource source);
  absl::Status Remove(absl::string_view adapter_id, ReplaySource source, int64_t slot);
  absl::StatusOr<int64_t> Size(absl::string_view adapter_id, ReplaySource source);
  absl::StatusOr<ReplayCandidate> At(absl::string_view adapter_id, ReplaySource source,
                                     int64_t slot);

  SqliteDatabase* const database_;
  Random random_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_REPLAY_POOL_H_
