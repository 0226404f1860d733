// The fields of config.json that would change what a model computes and that we do not support.
#ifndef ALCHEMIST_MODEL_UNSUPPORTED_FIELDS_H_
#define ALCHEMIST_MODEL_UNSUPPORTED_FIELDS_H_

#include "base/json.h"
#include "base/status.h"
#include "model/config.h"

namespace alchemist {

// Unimplemented, naming the field, when one of them is set to something that matters. Fields that
// are not known here are ignored: most say how a model was trained. `config` has its sizes already.
absl::Status CheckUnsupportedFields(const JsonNode& json, const ModelConfig& config);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_UNSUPPORTED_FIELDS_H_
