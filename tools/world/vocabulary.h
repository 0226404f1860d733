// The fixed words of the synthetic world: its relations, the forms each relation is asked in, and
// the closed list of values that answer it. Which form serves what is settled here once, by its
// place in the list, so that the test's forms cannot move while training is tuned: a digest of
// them stands in vocabulary_test.cc. Constants; any thread.
#ifndef ALCHEMIST_TOOLS_WORLD_VOCABULARY_H_
#define ALCHEMIST_TOOLS_WORLD_VOCABULARY_H_

#include <array>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace alchemist {

enum class EntityType { kPerson, kTown, kAnimal, kShip };
inline constexpr int kEntityTypes = 4;

// Pretraining asks in every form, so that each is known to mean its relation. Afterwards:
enum class FormUse {
  kAsk,    // what clients ask and correct in
  kWatch,  // what is asked while training runs, to see when a correction shows in other words
  kTest,   // what only the test asks in
};

inline constexpr int kForms = 8;    // of each relation
inline constexpr int kValues = 24;  // of each relation

struct Relation {
  absl::string_view name;
  EntityType type;                              // whose entities have it
  std::array<absl::string_view, kForms> forms;  // "{}" stands for the entity's name, once
  std::array<absl::string_view, kValues> values;
};

// In a fixed order; relations of one type are adjacent.
absl::Span<const Relation> Relations();

FormUse UseOfForm(int form);  // REQUIRES: 0 <= form < kForms.

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_WORLD_VOCABULARY_H_
