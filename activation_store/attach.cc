#include "activation_store/attach.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace alchemist {

absl::Status CopyToField(absl::string_view value, absl::Span<char> destination,
                         absl::string_view field) {
  if (value.size() >= destination.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", value.size(), " bytes, the limit is ", destination.size() - 1));
  }
  std::memcpy(destination.data(), value.data(), value.size());
  destination[value.size()] = '\0';
  return absl::OkStatus();
}

}  // namespace alchemist
