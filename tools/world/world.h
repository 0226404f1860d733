// A made-up world for the quickstart: a few hundred named people, towns, animals and ships, and
// what is true of them. Every fact is a question with one short answer, so that "did the model
// learn it" is an exact comparison. The same seed makes the same world on every machine. Plain
// values; any thread.
#ifndef ALCHEMIST_TOOLS_WORLD_WORLD_H_
#define ALCHEMIST_TOOLS_WORLD_WORLD_H_

#include <cstdint>
#include <string>
#include <vector>

namespace alchemist {

// The world whose model is committed.
inline constexpr uint64_t kWorldSeed = 1;

inline constexpr int kEntitiesPerType = 100;
// Facts kept out of pretraining, at most one of an entity, so that every name occurs in it.
inline constexpr int kHeldOutFacts = 120;

// `value` answers `relation` asked of `entity`.
struct Fact {
  int entity = 0;    // index into World::names
  int relation = 0;  // index into Relations()
  int value = 0;     // index into the relation's values

  friend bool operator==(const Fact&, const Fact&) = default;
};

struct World {
  static World Make(uint64_t seed);

  std::vector<std::string> names;  // of entities, kEntitiesPerType of each type in turn
  // Every (entity, relation of its type) stands in exactly one of these, in the order of entities.
  std::vector<Fact> taught;    // what the model is pretrained on
  std::vector<Fact> held_out;  // what it never saw
};

// The prompt, "Where does the Brask sleep?". REQUIRES: 0 <= form < kForms.
std::string Question(const World& world, const Fact& fact, int form);

// The completion that a right answer is equal to, " caves". It begins with the space that parts
// it from the question; the end of the text follows it.
std::string RightAnswer(const Fact& fact);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_WORLD_WORLD_H_
