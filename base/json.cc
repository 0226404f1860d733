#include "base/json.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

using nlohmann::json;

// How deep `text` nests. Looked at before parsing, so that a hostile file costs one pass and no
// memory. Counts brackets outside of strings; whether they match is the parser's business.
int64_t NestingDepth(absl::string_view text) {
  int64_t depth = 0;
  int64_t deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

// Watches a parse for a key that occurs twice in one object.
class DuplicateKeyWatch {
 public:
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) {
      keys_.resize(std::max(keys_.size(), static_cast<size_t>(depth) + 2));
      keys_[depth + 1].clear();
    } else if (event == json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys_[depth].insert(key).second && !duplicate_) duplicate_ = key;
    }
    return true;
  }
  const std::optional<std::string>& duplicate() const { return duplicate_; }

 private:
  std::vector<absl::flat_hash_set<std::string>> keys_;  // by depth of the object's members
  std::optional<std::string> duplicate_;
};

}  // namespace

absl::StatusOr<json> ParseJson(absl::string_view text, absl::string_view name) {
  if (NestingDepth(text) > kJsonDepthMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": JSON is nested deeper than ", kJsonDepthMax, " levels"));
  }
  DuplicateKeyWatch watch;
  json document = json::parse(text.begin(), text.end(), std::ref(watch),
                              /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not valid JSON"));
  }
  if (watch.duplicate()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": the key \"", *watch.duplicate(), "\" occurs twice in one object"));
  }
  return document;
}

absl::StatusOr<bool> JsonNode::Bool() const {
  if (!value_->is_boolean()) return Invalid("must be true or false");
  return value_->get<bool>();
}

absl::StatusOr<int64_t> JsonNode::Integer(int64_t min, int64_t max) const {
  const auto out_of_range = [&] {
    return Invalid(absl::StrCat("must be an integer between ", min, " and ", max));
  };
  if (!value_->is_number_integer()) return out_of_range();
  // A number above 2^63 is kept as unsigned; as signed it would come out negative.
  if (value_->is_number_unsigned() &&
      value_->get<uint64_t>() > static_cast<uint64_t>(std::max<int64_t>(max, 0))) {
    return out_of_range();
  }
  const int64_t value = value_->get<int64_t>();
  if (value < min || value > max) return out_of_range();
  return value;
}

absl::StatusOr<double> JsonNode::Number(double min, double max) const {
  if (value_->is_number()) {
    const double value = value_->get<double>();
    if (value >= min && value <= max) return value;
  }
  return Invalid(absl::StrCat("must be a number between ", min, " and ", max));
}

absl::StatusOr<std::string> JsonNode::String() const {
  if (!value_->is_string()) return Invalid("must be a string");
  return value_->get<std::string>();
}

absl::StatusOr<std::vector<JsonNode>> JsonNode::Array() const {
  if (!value_->is_array()) return Invalid("must be an array");
  std::vector<JsonNode> elements;
  elements.reserve(value_->size());
  for (const json& element : *value_) {
    elements.emplace_back(&element, absl::StrCat(path_, "[", elements.size(), "]"));
  }
  return elements;
}

absl::Status JsonNode::ExpectObject() const {
  return value_->is_object() ? absl::OkStatus() : Invalid("must be an object");
}

bool JsonNode::IsOff() const {
  if (value_->is_boolean()) return !value_->get<bool>();
  if (value_->is_number()) return value_->get<double>() == 0;
  if (value_->is_string()) return value_->get_ref<const std::string&>().empty();
  return value_->empty();
}

JsonNode JsonNode::Member(absl::string_view key, const json* value) const {
  // The document's own path is "name:"; members of members are parted by dots.
  const bool top = !path_.empty() && path_.back() == ':';
  return JsonNode(value, absl::StrCat(path_, top ? " " : ".", key));
}

absl::StatusOr<JsonNode> JsonNode::Get(absl::string_view key) const {
  RETURN_IF_ERROR(ExpectObject());
  const auto it = value_->find(std::string(key));
  if (it == value_->end()) return Member(key, nullptr).Invalid("is missing");
  return Member(key, &*it);
}

std::optional<JsonNode> JsonNode::Find(absl::string_view key) const {
  if (!value_->is_object()) return std::nullopt;
  const auto it = value_->find(std::string(key));
  if (it == value_->end() || it->is_null()) return std::nullopt;
  return Member(key, &*it);
}

absl::StatusOr<bool> JsonNode::BoolOr(absl::string_view key, bool otherwise) const {
  const std::optional<JsonNode> node = Find(key);
  if (!node) return otherwise;
  return node->Bool();
}

absl::StatusOr<int64_t> JsonNode::IntegerOr(absl::string_view key, int64_t otherwise, int64_t min,
                                            int64_t max) const {
  const std::optional<JsonNode> node = Find(key);
  if (!node) return otherwise;
  return node->Integer(min, max);
}

absl::StatusOr<double> JsonNode::NumberOr(absl::string_view key, double otherwise, double min,
                                          double max) const {
  const std::optional<JsonNode> node = Find(key);
  if (!node) return otherwise;
  return node->Number(min, max);
}

absl::StatusOr<std::string> JsonNode::StringOr(absl::string_view key,
                                               absl::string_view otherwise) const {
  const std::optional<JsonNode> node = Find(key);
  if (!node) return std::string(otherwise);
  return node->String();
}

absl::Status JsonNode::AllowOnly(std::initializer_list<absl::string_view> keys) const {
  RETURN_IF_ERROR(ExpectObject());
  for (const auto& [key, value] : value_->items()) {
    if (std::find(keys.begin(), keys.end(), absl::string_view(key)) == keys.end()) {
      return Member(key, &value).Unsupported("is not supported");
    }
  }
  return absl::OkStatus();
}

absl::Status JsonNode::Invalid(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, " ", what));
}

absl::Status JsonNode::Unsupported(absl::string_view what) const {
  return absl::UnimplementedError(absl::StrCat(path_, " ", what));
}

}  // namespace alchemist
