// JSON from files that nobody vouches for. ParseJson bounds the depth and refuses duplicate keys;
// JsonNode reads a value together with its path, so that every error names file and field. Any
// thread.
#ifndef ALCHEMIST_BASE_JSON_H_
#define ALCHEMIST_BASE_JSON_H_

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"

namespace alchemist {

inline constexpr int kJsonDepthMax = 32;

// The document in `text`. InvalidArgument, naming `name`, when it is malformed, nested deeper than
// kJsonDepthMax, or has the same key twice in one object (readers disagree about which one counts).
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, absl::string_view name);

// A value inside a document, which must outlive it. Errors are InvalidArgument.
class JsonNode {
 public:
  JsonNode(const nlohmann::json* value, std::string path) : value_(value), path_(std::move(path)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& path() const { return path_; }

  absl::StatusOr<bool> Bool() const;
  absl::StatusOr<int64_t> Integer(int64_t min, int64_t max) const;
  absl::StatusOr<double> Number(double min, double max) const;
  absl::StatusOr<std::string> String() const;
  absl::StatusOr<std::vector<JsonNode>> Array() const;
  absl::Status ExpectObject() const;
  // Whether it is null, false, 0 or empty: how configuration files write that a feature is off.
  bool IsOff() const;

  // The member `key`. Find: nullopt when it is absent or null, or when this is no object.
  absl::StatusOr<JsonNode> Get(absl::string_view key) const;
  std::optional<JsonNode> Find(absl::string_view key) const;

  // Members that are absent or null read as `otherwise`.
  absl::StatusOr<bool> BoolOr(absl::string_view key, bool otherwise) const;
  absl::StatusOr<int64_t> IntegerOr(absl::string_view key, int64_t otherwise, int64_t min,
                                    int64_t max) const;
  absl::StatusOr<double> NumberOr(absl::string_view key, double otherwise, double min,
                                  double max) const;
  absl::StatusOr<std::string> StringOr(absl::string_view key, absl::string_view otherwise) const;

  // Unimplemented, naming the field, when this object has a member that is not in `keys`.
  absl::Status AllowOnly(std::initializer_list<absl::string_view> keys) const;

  // A status about this value: "<path>: <what>".
  absl::Status Invalid(absl::string_view what) const;
  absl::Status Unsupported(absl::string_view what) const;

 private:
  JsonNode Member(absl::string_view key, const nlohmann::json* value) const;

  const nlohmann::json* value_;
  std::string path_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_JSON_H_
