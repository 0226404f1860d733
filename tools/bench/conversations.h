// Conversations: clients that each talk in several turns: the prompt of a turn is all that was said
// before, answers included, and new text. One thread calls; each client has a thread of its own
// while it waits for an answer.
#ifndef ALCHEMIST_TOOLS_BENCH_CONVERSATIONS_H_
#define ALCHEMIST_TOOLS_BENCH_CONVERSATIONS_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "tools/client/alchemist_client.h"

namespace alchemist {

// Of the prompts of all turns, in tokens.
struct PrefixHits {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // Found recorded, and not run again.
  double share() const;       // REQUIRES: there was a prompt.
};

class Conversations {
 public:
  struct Options {
    int64_t vocab = 0;
    int64_t clients = 1;
    int64_t turns = 1;
    int64_t turn_tokens = 0;    // New in each turn.
    int64_t answer_tokens = 0;  // At most, of each turn.
  };
  // AlchemistClient::Complete, or what stands for it; called by several threads at once.
  using Complete = std::function<absl::StatusOr<Answer>(const v1::CompleteRequest&)>;

  Conversations(const Options& options, Complete complete)
      : options_(options), complete_(std::move(complete)) {}

  // A conversation of each client. All take a turn at once, then wait for all answers; between two
  // turns `between` is called. No two calls say the same, so that nothing is found recorded but
  // what the conversation itself has said. With `has_sessions` each conversation is a session. The
  // first error of a client or of `between` ends it.
  absl::StatusOr<PrefixHits> Run(bool has_sessions, absl::FunctionRef<absl::Status()> between);

 private:
  struct Conversation;
  absl::Status TakeTurn(uint64_t text_seed, Conversation& conversation) const;

  const Options options_;
  const Complete complete_;
  uint64_t conversations_ = 0;
  uint64_t texts_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_BENCH_CONVERSATIONS_H_
