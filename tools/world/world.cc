#include "tools/world/world.h"

#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/logging.h"
#include "base/random.h"
#include "tools/world/vocabulary.h"

namespace alchemist {
namespace {

constexpr absl::string_view kOnsets[] = {"b", "d", "f", "g", "k",  "l",  "m",  "n",  "p",  "r",
                                         "s", "t", "v", "z", "br", "dr", "gr", "kr", "st", "tr"};
constexpr absl::string_view kVowels[] = {"a", "e", "i", "o", "u", "ai", "or"};
constexpr absl::string_view kCodas[] = {"", "k", "l", "m", "n", "r", "s", "sk", "th", "x"};

template <size_t N>
absl::string_view Pick(const absl::string_view (&list)[N], Random& random) {
  return list[random.Below(N)];
}

// Two syllables. A consonant comes first, since forms say "a {}" of animals.
std::string MakeName(Random& random) {
  std::string name = absl::StrCat(Pick(kOnsets, random), Pick(kVowels, random));
  absl::StrAppend(&name, Pick(kOnsets, random), Pick(kVowels, random), Pick(kCodas, random));
  name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

std::vector<std::string> MakeNames(Random& random) {
  std::set<std::string> taken;  // An answer that is also a name would be hard to read.
  for (const Relation& relation : Relations()) {
    taken.insert(relation.values.begin(), relation.values.end());
  }
  std::vector<std::string> names;
  while (names.size() < kEntityTypes * kEntitiesPerType) {
    std::string name = MakeName(random);
    if (taken.insert(name).second) names.push_back(std::move(name));
  }
  return names;
}

// For each entity, whether one of its facts is kept out of pretraining.
std::vector<bool> DrawHeldOut(int entities, Random& random) {
  std::vector<int> order(entities);
  std::iota(order.begin(), order.end(), 0);
  Shuffle(order, random);
  std::vector<bool> holds_out(entities, false);
  for (int i = 0; i < kHeldOutFacts; ++i) holds_out[order[i]] = true;
  return holds_out;
}

// Indices of the relations that the type of `entity` has.
std::vector<int> RelationsOf(int entity) {
  const auto type = static_cast<EntityType>(entity / kEntitiesPerType);
  std::vector<int> relations;
  for (int r = 0; r < static_cast<int>(Relations().size()); ++r) {
    if (Relations()[r].type == type) relations.push_back(r);
  }
  return relations;
}

}  // namespace

World World::Make(uint64_t seed) {
  Random random(seed);
  World world;
  world.names = MakeNames(random);
  const int entities = static_cast<int>(world.names.size());
  const std::vector<bool> holds_out = DrawHeldOut(entities, random);
  for (int entity = 0; entity < entities; ++entity) {
    const std::vector<int> relations = RelationsOf(entity);
    const int64_t held_out = random.Below(static_cast<int64_t>(relations.size()));
    for (int i = 0; i < static_cast<int>(relations.size()); ++i) {
      const Fact fact = {entity, relations[i], static_cast<int>(random.Below(kValues))};
      (holds_out[entity] && i == held_out ? world.held_out : world.taught).push_back(fact);
    }
  }
  return world;
}

std::string Question(const World& world, const Fact& fact, int form) {
  CHECK(form >= 0 && form < kForms) << form;
  return absl::StrReplaceAll(Relations()[fact.relation].forms[form],
                             {{"{}", world.names[fact.entity]}});
}

std::string RightAnswer(const Fact& fact) {
  return absl::StrCat(" ", Relations()[fact.relation].values[fact.value]);
}

}  // namespace alchemist
