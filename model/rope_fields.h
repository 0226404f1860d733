// Rotary position embedding in config.json, in both spellings: rope_theta with rope_scaling, and
// rope_parameters (Transformers 5).
#ifndef ALCHEMIST_MODEL_ROPE_FIELDS_H_
#define ALCHEMIST_MODEL_ROPE_FIELDS_H_

#include "base/json.h"
#include "base/status.h"
#include "kernels/rope.h"

namespace alchemist {

// Unimplemented, naming the field, for a scaling that depends on the total length (dynamic, yarn,
// longrope): with it a recorded K would no longer be the one that a longer prompt computes.
absl::StatusOr<RopeConfig> ReadRopeFields(const JsonNode& config);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_ROPE_FIELDS_H_
