#include "server/serving_loop.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/kill_point.h"
#include "base/logging.h"
#include "kernels/matmul.h"

namespace alchemist {
namespace {

constexpr int64_t kTickUs = 10'000;

std::string LogIdOf(const FinishedCompletion& finished) {
  return absl::StrCat("completion ", finished.row.completion_id, " of request ",
                      finished.request_id, " revision ", finished.row.revision.number);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServingLoop>> ServingLoop::Create(const ServingLoopOptions& options,
                                                                 Parts parts) {
  std::unique_ptr<ServingLoop> loop(new ServingLoop(options, std::move(parts)));
  ServingLoop* const self = loop.get();
  const Parts& p = loop->parts_;
  ASSIGN_OR_RETURN(
      loop->batcher_,
      Batcher::Create(
          options.batcher,
          {.model = p.model,
           .tokenizer = p.tokenizer,
           .layout = p.layout,
           .store = p.store,
           .clock = p.clock,
           .stream = p.stream,
           .pin =
               [self](const CompletionRequest& request) {
                 const std::string& session = request.session_id;
                 return self->registry().Pin(
                     session.empty() ? session : absl::StrCat(request.tenant, "/", session));
               },
           .on_finished = [self](FinishedCompletion f) { self->OnFinished(std::move(f)); },
           .poll = [self] { self->commands_.Run(); }},
          *p.device));
  loop->feed_ = std::make_unique<TrainerFeed>(TrainerFeed::Parts{
      .store = p.store,
      .registry = p.registry,
      .log = p.log,
      .publisher = p.publisher,
      .clock = p.clock,
      .server_page = p.server_page,
      .store_epoch = p.store_epoch,
      .canary = p.canary,
      .base = {p.model->base_digest(), p.tokenizer->digest()},
      .kernels = MatmulDescription(),
      .post_to_loop = [self](Command command) { self->PostInternal(std::move(command)); },
      .kill_trainer = p.kill_trainer,
      .end_attachment = p.end_attachment,
  });
  return loop;
}

void ServingLoop::Run() {
  while (!commands_.closed()) {
    if (!RunOnce()) commands_.WaitAndRun(kIdleWaitUs);
  }
  commands_.Drain();
  batcher_->FailAll(absl::UnavailableError("the server is stopping"));
}

bool ServingLoop::RunOnce() {
  commands_.Run();
  Tick();
  const bool busy = batcher_->HasWork();
  busy_.Set(busy, parts_.clock->MonotonicUs());
  const YieldWord word = busy ? YieldWord::kYield : YieldWord::kGoOn;
  parts_.server_page->yield.store(static_cast<uint32_t>(word), std::memory_order_relaxed);
  return batcher_->RunStep();
}

void ServingLoop::Tick() {
  const int64_t now_us = parts_.clock->MonotonicUs();
  if (now_us < next_tick_us_) return;
  next_tick_us_ = now_us + kTickUs;
  feed_->Tick();
  parts_.registry->DropOldSessions();
  parts_.store->EvictOlderThan(now_us - options_.record_ttl_us);
}

// The row is queued for the log before the client hears of the completion, so that feedback, which
// goes through the same queue, finds it.
void ServingLoop::OnFinished(FinishedCompletion finished) {
  feed_->OnFinished(finished.row.completion_id, {finished.record_id, finished.response_record_id});
  const std::string id = LogIdOf(finished);
  const absl::Status posted = parts_.log->Post(
      [row = std::move(finished.row)](FeedbackLog& log) { return log.completions().Add(row); },
      [this, id](absl::Status status) {
        if (status.ok()) return;
        LOG(ERROR) << id << " was not logged: " << status;
        PostInternal([this] { ++completions_not_logged_; });
      });
  KILL_POINT("server.completion_posted");
  if (posted.ok()) return;
  ++completions_not_logged_;  // Serving goes on; feedback on it will be NOT_FOUND.
  LOG_EVERY_N(ERROR, 100) << id << " was not logged, like " << completions_not_logged_ - 1
                          << " before it: " << posted;
}

}  // namespace alchemist
