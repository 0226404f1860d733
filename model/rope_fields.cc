#include "model/rope_fields.h"

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

constexpr double kThetaMax = 1e15;
constexpr double kFactorMax = 1e6;

// The scaling's name under its new key or its old one.
absl::StatusOr<std::string> ReadRopeType(const JsonNode& scaling) {
  ASSIGN_OR_RETURN(const std::string old_name, scaling.StringOr("type", "default"));
  ASSIGN_OR_RETURN(const std::string name, scaling.StringOr("rope_type", old_name));
  if (scaling.Find("type") && name != old_name) {
    return scaling.Invalid(
        absl::StrCat("has rope_type \"", name, "\" and type \"", old_name, "\""));
  }
  return name;
}

absl::StatusOr<double> RequiredNumber(const JsonNode& node, absl::string_view key, double min,
                                      double max) {
  ASSIGN_OR_RETURN(const JsonNode field, node.Get(key));
  return field.Number(min, max);
}

absl::Status ReadLlama3(const JsonNode& scaling, RopeConfig& rope) {
  rope.scaling = RopeScaling::kLlama3;
  ASSIGN_OR_RETURN(rope.factor, RequiredNumber(scaling, "factor", 1, kFactorMax));
  ASSIGN_OR_RETURN(rope.low_freq_factor,
                   RequiredNumber(scaling, "low_freq_factor", 1e-6, kFactorMax));
  ASSIGN_OR_RETURN(rope.high_freq_factor,
                   RequiredNumber(scaling, "high_freq_factor", 1e-6, kFactorMax));
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    return scaling.Invalid("has a high_freq_factor that is not above its low_freq_factor");
  }
  ASSIGN_OR_RETURN(const JsonNode context, scaling.Get("original_max_position_embeddings"));
  ASSIGN_OR_RETURN(rope.original_context, context.Integer(1, int64_t{1} << 30));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RopeConfig> ReadRopeFields(const JsonNode& config) {
  RopeConfig rope;
  ASSIGN_OR_RETURN(rope.theta, config.NumberOr("rope_theta", 10000, 1, kThetaMax));
  const std::optional<JsonNode> old_spelling = config.Find("rope_scaling");
  const std::optional<JsonNode> new_spelling = config.Find("rope_parameters");
  if (old_spelling && new_spelling) {
    return config.Invalid("has both rope_scaling and rope_parameters");
  }
  if (!old_spelling && !new_spelling) return rope;
  const JsonNode scaling = new_spelling ? *new_spelling : *old_spelling;
  RETURN_IF_ERROR(scaling.ExpectObject());
  ASSIGN_OR_RETURN(rope.theta, scaling.NumberOr("rope_theta", rope.theta, 1, kThetaMax));
  ASSIGN_OR_RETURN(const double rotated, scaling.NumberOr("partial_rotary_factor", 1, 0, 1));
  if (rotated != 1) return scaling.Unsupported("has a partial_rotary_factor other than 1");
  ASSIGN_OR_RETURN(const std::string type, ReadRopeType(scaling));
  if (type == "llama3") {
    RETURN_IF_ERROR(ReadLlama3(scaling, rope));
  } else if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    ASSIGN_OR_RETURN(rope.factor, RequiredNumber(scaling, "factor", 1, kFactorMax));
  } else if (type != "default") {
    return scaling.Unsupported(
        absl::StrCat("has the rope_type \"", type, "\"; supported are default, linear and llama3"));
  }
  return rope;
}

}  // namespace alchemist
