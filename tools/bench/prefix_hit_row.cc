#include "tools/bench/prefix_hit_row.h"

#include <signal.h>

#include <vector>

#include "tools/bench/conversations.h"
#include "tools/bench/pairs.h"
#include "tools/bench/ratio.h"

namespace alchemist {
namespace {

constexpr int64_t kClients = 3;
constexpr int64_t kTurns = 4;
constexpr int64_t kTurnsInShort = 2;
constexpr int64_t kTurnTokens = 128;
constexpr int64_t kAnswerTokens = 16;
constexpr int64_t kRunsWithoutSessions = 3;

class PrefixHitShares {
 public:
  PrefixHitShares(int64_t vocab, int64_t turns, Daemons* daemons)
      : daemons_(*daemons),
        conversations_({.vocab = vocab,
                        .clients = kClients,
                        .turns = turns,
                        .turn_tokens = kTurnTokens,
                        .answer_tokens = kAnswerTokens},
                       [daemons](const v1::CompleteRequest& request) {
                         return daemons->client().Complete(request);
                       }) {}

  absl::StatusOr<double> Off();
  absl::StatusOr<double> On(bool has_sessions);
  // Revisions that were published in each run with training.
  const std::vector<double>& published() const { return published_; }

 private:
  absl::StatusOr<int64_t> Published();
  absl::Status WaitForPublish();

  Daemons& daemons_;
  Conversations conversations_;
  std::vector<double> published_;
};

absl::StatusOr<int64_t> PrefixHitShares::Published() {
  ASSIGN_OR_RETURN(const v1::GetStatusResponse status, daemons_.client().GetStatus());
  return status.revisions().published();
}

absl::Status PrefixHitShares::WaitForPublish() {
  ASSIGN_OR_RETURN(const int64_t before, Published());
  RETURN_IF_ERROR(daemons_.WaitFor("a revision between two turns", [&] {
    const absl::StatusOr<int64_t> published = Published();
    return daemons_.TrainerFailed() || (published.ok() && *published > before);
  }));
  if (daemons_.TrainerFailed()) return absl::AbortedError("the trainer ended\n" + daemons_.Logs());
  return absl::OkStatus();
}

absl::StatusOr<double> PrefixHitShares::Off() {
  daemons_.trainer().Signal(SIGSTOP);
  ASSIGN_OR_RETURN(const PrefixHits hits,
                   conversations_.Run(/*has_sessions=*/true, [] { return absl::OkStatus(); }));
  if (hits.cached_tokens == 0) return absl::InternalError("no prompt found what was said before");
  return hits.share();
}

absl::StatusOr<double> PrefixHitShares::On(bool has_sessions) {
  daemons_.trainer().Signal(SIGCONT);
  ASSIGN_OR_RETURN(const int64_t before, Published());
  ASSIGN_OR_RETURN(const PrefixHits hits,
                   conversations_.Run(has_sessions, [this] { return WaitForPublish(); }));
  ASSIGN_OR_RETURN(const int64_t after, Published());
  published_.push_back(static_cast<double>(after - before));
  return hits.share();
}

}  // namespace

absl::StatusOr<BenchRow> PrefixHitOfTraining(const BenchContext& context, int64_t vocab,
                                             Daemons& daemons) {
  const int64_t turns = context.is_short ? kTurnsInShort : kTurns;
  PrefixHitShares shares(vocab, turns, &daemons);
  // Whatever the machine does, the same tokens are found, so that no more pairs are needed.
  ASSIGN_OR_RETURN(const PairSamples<> hits,
                   MeasurePairs(
                       context.pairs, [&] { return shares.Off(); },
                       [&] { return shares.On(/*has_sessions=*/true); },
                       context.PairProgress("conversations, training off and on", context.pairs)));
  const double published = Median(shares.published());
  const int64_t runs = context.is_short ? 1 : kRunsWithoutSessions;
  std::vector<double> without_sessions;
  for (int64_t run = 0; run < runs; ++run) {
    RETURN_IF_ERROR(context.progress("conversations without sessions", run, runs));
    ASSIGN_OR_RETURN(without_sessions.emplace_back(), shares.On(/*has_sessions=*/false));
  }
  return RatioRow("prefix_hit_ratio_training_over_off", EstimateRatio(Ratios(hits), hits.a),
                  Bound::AtLeast(0.9),
                  {{"clients", kClients},
                   {"turns", turns},
                   {"turn_tokens", kTurnTokens},
                   {"answer_tokens", kAnswerTokens},
                   {"hit_share_off", Median(hits.a)},
                   {"hit_share_on", Median(hits.b)},
                   {"hit_share_on_without_sessions", Median(without_sessions)},
                   {"revisions_published_per_run", published}});
}

}  // namespace alchemist
