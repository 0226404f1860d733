// Questions about the made-up world with the answer that is right, and asking them. Any thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_QUIZ_H_
#define ALCHEMIST_TOOLS_QUICKSTART_QUIZ_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "tools/client/alchemist_client.h"
#include "tools/world/vocabulary.h"
#include "tools/world/world.h"

namespace alchemist {

struct QuizItem {
  std::string prompt;
  std::string answer;
};

// The forms that serve `use`, in their order.
std::vector<int> FormsFor(FormUse use);

// Every one of `facts`, in their order, in every form that serves `use`.
std::vector<QuizItem> MakeQuiz(const World& world, absl::Span<const Fact> facts, FormUse use);

// What became of a question.
struct Reply {
  std::string completion_id;
  uint64_t revision = 0;
  bool right = false;                  // The answer is the right one, character for character.
  double ttft_ms = 0;                  // From the call to its first token.
  std::optional<double> ms_per_token;  // Of the tokens after the first, if any.
};

// Asks greedily.
absl::StatusOr<Reply> Ask(AlchemistClient& client, const QuizItem& item);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_QUIZ_H_
