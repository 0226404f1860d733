#include "tools/bench/conversations.h"

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "tools/bench/bench_prompt.h"
#include "tools/client/requests.h"

namespace alchemist {

struct Conversations::Conversation {
  std::string session_id;       // "" = none.
  std::vector<int32_t> tokens;  // Said so far.
  PrefixHits hits;
  absl::Status status;
};

double PrefixHits::share() const {
  CHECK_GT(prompt_tokens, 0);
  return static_cast<double>(cached_tokens) / static_cast<double>(prompt_tokens);
}

absl::StatusOr<PrefixHits> Conversations::Run(bool has_sessions,
                                              absl::FunctionRef<absl::Status()> between) {
  std::vector<Conversation> conversations(options_.clients);
  for (Conversation& conversation : conversations) {
    ++conversations_;
    if (has_sessions) conversation.session_id = absl::StrCat("conversation-", conversations_);
  }
  for (int64_t turn = 0; turn < options_.turns; ++turn) {
    if (turn > 0) RETURN_IF_ERROR(between());
    std::vector<std::thread> clients;
    for (Conversation& conversation : conversations) {
      clients.emplace_back([this, &conversation, seed = ++texts_] {
        conversation.status = TakeTurn(seed, conversation);
      });
    }
    for (std::thread& client : clients) client.join();
    for (const Conversation& conversation : conversations) RETURN_IF_ERROR(conversation.status);
  }
  PrefixHits hits;
  for (const Conversation& conversation : conversations) {
    hits.prompt_tokens += conversation.hits.prompt_tokens;
    hits.cached_tokens += conversation.hits.cached_tokens;
  }
  return hits;
}

absl::Status Conversations::TakeTurn(uint64_t text_seed, Conversation& conversation) const {
  const std::vector<int32_t> text = BenchPrompt(options_.turn_tokens, options_.vocab, text_seed);
  std::vector<int32_t>& tokens = conversation.tokens;
  tokens.insert(tokens.end(), text.begin(), text.end());
  v1::CompleteRequest request = GreedyRequest(tokens, options_.answer_tokens);
  request.set_session_id(conversation.session_id);
  ASSIGN_OR_RETURN(const Answer answer, complete_(request));
  tokens.insert(tokens.end(), answer.token_ids.begin(), answer.token_ids.end());
  conversation.hits.prompt_tokens += answer.final.usage().prompt_tokens();
  conversation.hits.cached_tokens += answer.final.usage().cached_tokens();
  return absl::OkStatus();
}

}  // namespace alchemist
