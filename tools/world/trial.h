// What one run of the quickstart does to the world: which facts clients correct, in which order,
// to which values, and which facts only the test asks about. The seed of the run draws it; the
// world and its pretrained model stay the same. Plain values; any thread.
#ifndef ALCHEMIST_TOOLS_WORLD_TRIAL_H_
#define ALCHEMIST_TOOLS_WORLD_TRIAL_H_

#include <cstdint>
#include <vector>

#include "tools/world/world.h"

namespace alchemist {

inline constexpr int kContradictions = 50;  // corrections of what pretraining taught
inline constexpr int kAdditions = 50;       // corrections of what it left out
inline constexpr int kRetained = 400;

struct Trial {
  static Trial Draw(const World& world, uint64_t seed);

  // No (entity, relation) stands in more than one of these.
  std::vector<Fact> corrections;  // with the value that is right from now on
  std::vector<Fact> traffic;      // what other clients keep asking; replay may draw these
  std::vector<Fact> retained;     // asked by nobody but the test, before and after
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_WORLD_TRIAL_H_
