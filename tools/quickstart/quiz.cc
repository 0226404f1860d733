#include "tools/quickstart/quiz.h"

#include <algorithm>

#include "base/clock.h"
#include "tools/client/requests.h"

namespace alchemist {
namespace {

// Room for every answer of the world, also where each of its characters is a token.
constexpr int64_t kAnswerTokensMax = 16;

}  // namespace

std::vector<int> FormsFor(FormUse use) {
  std::vector<int> forms;
  for (int form = 0; form < kForms; ++form) {
    if (UseOfForm(form) == use) forms.push_back(form);
  }
  return forms;
}

std::vector<QuizItem> MakeQuiz(const World& world, absl::Span<const Fact> facts, FormUse use) {
  std::vector<QuizItem> quiz;
  for (const Fact& fact : facts) {
    for (const int form : FormsFor(use)) {
      quiz.push_back({Question(world, fact, form), RightAnswer(fact)});
    }
  }
  return quiz;
}

absl::StatusOr<Reply> Ask(AlchemistClient& client, const QuizItem& item) {
  const Clock& clock = *Clock::Real();
  int64_t first_us = 0;
  int64_t last_us = 0;
  const int64_t begin_us = clock.MonotonicUs();
  ASSIGN_OR_RETURN(const Answer answer,
                   client.Complete(GreedyRequest(item.prompt, kAnswerTokensMax), [&](const auto&) {
                     last_us = clock.MonotonicUs();
                     if (first_us == 0) first_us = last_us;
                     return true;
                   }));
  Reply reply;
  reply.completion_id = answer.final.completion_id();
  reply.revision = answer.final.revision().number();
  reply.right = answer.text == item.answer;
  reply.ttft_ms = static_cast<double>(first_us - begin_us) / 1000;
  if (answer.token_ids.size() > 1) {
    reply.ms_per_token = static_cast<double>(last_us - first_us) / 1000 /
                         static_cast<double>(answer.token_ids.size() - 1);
  }
  return reply;
}

}  // namespace alchemist
