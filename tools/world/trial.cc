#include "tools/world/trial.h"

#include "base/logging.h"
#include "base/random.h"
#include "tools/world/vocabulary.h"

namespace alchemist {
namespace {

// Drawn from the values that the model was not taught.
int OtherValue(int value, Random& random) {
  return static_cast<int>((value + 1 + random.Below(kValues - 1)) % kValues);
}

}  // namespace

Trial Trial::Draw(const World& world, uint64_t seed) {
  std::vector<Fact> taught = world.taught;
  std::vector<Fact> held_out = world.held_out;
  CHECK_GE(taught.size(), size_t{kContradictions + kRetained});
  CHECK_GE(held_out.size(), size_t{kAdditions});
  Random random(seed);
  Shuffle(taught, random);
  Shuffle(held_out, random);

  Trial trial;
  trial.corrections.assign(held_out.begin(), held_out.begin() + kAdditions);
  const auto retained_begin = taught.begin() + kContradictions;
  for (auto fact = taught.begin(); fact != retained_begin; ++fact) {
    trial.corrections.push_back({fact->entity, fact->relation, OtherValue(fact->value, random)});
  }
  Shuffle(trial.corrections, random);
  trial.retained.assign(retained_begin, retained_begin + kRetained);
  trial.traffic.assign(retained_begin + kRetained, taught.end());
  return trial;
}

}  // namespace alchemist
