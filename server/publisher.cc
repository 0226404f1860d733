#include "server/publisher.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/kill_point.h"
#include "base/logging.h"
#include "server/log_call.h"

namespace alchemist {
namespace {

// A candidate takes the place of its parent only.
absl::Status CheckParent(const PublishCandidate& candidate, FeedbackLog& log) {
  ASSIGN_OR_RETURN(const AdapterRow row, log.revisions().FindAdapter(kDefaultAdapter));
  if (row.pinned) return absl::FailedPreconditionError("publish: the adapter is pinned");
  if (candidate.parent == row.serving.number) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("publish: parent ", candidate.parent,
                                         " is not served, revision ", row.serving.number, " is"));
}

}  // namespace

absl::Status Publisher::Post(std::function<void()> job) {
  if (jobs_.TryPush(std::move(job))) return absl::OkStatus();
  if (jobs_.closed()) return absl::UnavailableError("the server is stopping");
  return absl::ResourceExhaustedError(
      absl::StrCat("the publisher's queue is full: ", kJobsMax, " jobs wait"));
}

absl::Status Publisher::PostPublish(const PublishCandidate& candidate, Done done) {
  return Post([this, candidate, done = std::move(done)] { done(Publish(candidate)); });
}

absl::Status Publisher::PostRollback(int64_t number, Done done) {
  return Post([this, number, done = std::move(done)] { done(RollBack(number)); });
}

absl::Status Publisher::PostRetire(std::set<int64_t> in_use) {
  return Post([this, in_use = std::move(in_use)] {
    const absl::Status status = Retire(in_use);
    if (!status.ok()) LOG(WARNING) << "old revisions stay until the next publish: " << status;
  });
}

bool Publisher::RunOnce(int64_t wait_us) {
  const std::optional<std::function<void()>> job = jobs_.Pop(wait_us);
  if (job.has_value()) (*job)();
  return job.has_value() || !jobs_.closed();
}

// The number is committed before the directory takes it, so that a crash leaves a gap and never a
// number twice; the row after it, so that a row always has its directory. What fails in between
// leaves a directory without a row: Retire, or the next start, removes it. Not this: whether a
// commit that failed is on the disk only the log of the next start can tell.
absl::StatusOr<Publisher::Revision> Publisher::Publish(const PublishCandidate& candidate) const {
  int64_t number = 0;
  RETURN_IF_ERROR(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
    RETURN_IF_ERROR(CheckParent(candidate, log));
    ASSIGN_OR_RETURN(number, log.revisions().Mint(kDefaultAdapter));
    return absl::OkStatus();
  }));
  KILL_POINT("publish.minted");
  ASSIGN_OR_RETURN(const std::shared_ptr<const LoraAdapter> adapter,
                   registry_->CheckCandidate(candidate));
  RETURN_IF_ERROR(registry_->PutInPlace(candidate, number));
  KILL_POINT("publish.renamed");
  RETURN_IF_ERROR(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
    RETURN_IF_ERROR(CheckParent(candidate, log));  // It may have been pinned meanwhile.
    return registry_->Commit(candidate, number, log);
  }));
  const RevisionId id = {kDefaultAdapter, number, candidate.digest};
  return std::make_shared<const ServedRevision>(ServedRevision{id, adapter});
}

absl::StatusOr<Publisher::Revision> Publisher::RollBack(int64_t number) const {
  RevisionId id;
  RETURN_IF_ERROR(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
    ASSIGN_OR_RETURN(id, log.revisions().Find(kDefaultAdapter, number));
    return absl::OkStatus();
  }));
  if (!registry_->HasDirectory(number)) {
    return absl::FailedPreconditionError(
        absl::StrCat("revision ", number,
                     " is not kept any more: only the first and the newest --revisions_kept are"));
  }
  ASSIGN_OR_RETURN(Revision revision, registry_->Load(id));
  RETURN_IF_ERROR(CallLog(*log_, [number](FeedbackLog& log) -> absl::Status {
    RETURN_IF_ERROR(log.revisions().SetServing(kDefaultAdapter, number));
    return log.replay().OnRollback(kDefaultAdapter, number);
  }));
  return revision;
}

absl::Status Publisher::Retire(std::set<int64_t> in_use) const {
  std::set<int64_t> kept;
  RETURN_IF_ERROR(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
    ASSIGN_OR_RETURN(kept, registry_->Kept(log));
    return absl::OkStatus();
  }));
  kept.merge(in_use);
  return registry_->RemoveAllBut(kept);
}

}  // namespace alchemist
