// ReplayPool: the logged answers that may be trained again, so that new feedback does not make the
// model forget them; each draw is uniform over all of one adapter's. A table of the feedback log
// and no copy in memory: it rolls back with its transaction and has no size to bound. Owned by
// FeedbackLog; its thread only, inside a transaction.
#ifndef ALCHEMIST_SERVER_REPLAY_POOL_H_
#define ALCHEMIST_SERVER_REPLAY_POOL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/random.h"
#include "base/status.h"
#include "server/sqlite_database.h"

namespace alchemist {

class ReplayPool {
 public:
  // The same seed and the same calls give the same draws. `database` must outlive the pool.
  ReplayPool(SqliteDatabase* database, uint64_t seed) : database_(database), random_(seed) {}

  absl::Status Add(absl::string_view adapter_id, absl::string_view completion_id);
  // Takes a completion out for good. No change when it is not in the pool.
  absl::Status Remove(absl::string_view completion_id);

  // The ids of `count` different completions, none of them in `exclude`; fewer when there are not
  // so many. Looks at no more than count + exclude.size() of them.
  absl::StatusOr<std::vector<std::string>> Draw(absl::string_view adapter_id, int64_t count,
                                                const absl::flat_hash_set<std::string>& exclude);

 private:
  absl::StatusOr<int64_t> Size(absl::string_view adapter_id);
  absl::StatusOr<std::string> At(absl::string_view adapter_id, int64_t slot);

  SqliteDatabase* const database_;
  Random random_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_REPLAY_POOL_H_
