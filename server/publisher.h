// Publisher: makes candidates into revisions, rolls back, and removes the directories of revisions
// that nothing needs: all that reads or moves adapters while the server runs. One job after the
// other, on a thread of its own, since a large adapter takes long to read and to check, and neither
// serving nor an acknowledgement may wait for it; only the rows are written on the log thread.
// Owned by ServerRuntime. Post...: any thread; RunOnce: the publisher's thread.
#ifndef ALCHEMIST_SERVER_PUBLISHER_H_
#define ALCHEMIST_SERVER_PUBLISHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>

#include "base/bounded_queue.h"
#include "base/status.h"
#include "server/adapter_registry.h"
#include "server/log_thread.h"

namespace alchemist {

class Publisher {
 public:
  // What serves from now on. Called on the publisher's thread, in the order in which the log
  // committed it; must not block.
  using Done = std::function<void(absl::StatusOr<std::shared_ptr<const ServedRevision>>)>;
  static constexpr int64_t kJobsMax = 64;

  // Both outlive the publisher.
  Publisher(const AdapterRegistry* registry, LogThread* log) : registry_(registry), log_(log) {}

  // ResourceExhausted when kJobsMax jobs wait, Unavailable after Close: then `done` is not called.
  absl::Status PostPublish(const PublishCandidate& candidate, Done done);
  absl::Status PostRollback(int64_t number, Done done);
  // Removes the directories of all revisions but the newest, the serving one and those `in_use`.
  absl::Status PostRetire(std::set<int64_t> in_use);

  // Runs one job; waits at most `wait_us` for it. False once closed and all jobs are run.
  bool RunOnce(int64_t wait_us);
  void Close() { jobs_.Close(); }  // Any thread. What is queued will still be run.

 private:
  using Revision = std::shared_ptr<const ServedRevision>;

  absl::Status Post(std::function<void()> job);
  absl::StatusOr<Revision> Publish(const PublishCandidate& candidate) const;
  absl::StatusOr<Revision> RollBack(int64_t number) const;
  absl::Status Retire(std::set<int64_t> in_use) const;

  const AdapterRegistry* const registry_;
  LogThread* const log_;
  BoundedQueue<std::function<void()>> jobs_{kJobsMax};
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_PUBLISHER_H_
