#include "server/call_metadata.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace alchemist {

absl::Status CheckTenant(const std::string& tenant) {
  if (static_cast<int64_t>(tenant.size()) > kIdBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(kTenantKey, ": ", tenant.size(), " bytes, the limit is ", kIdBytesMax));
  }
  for (const char c : tenant) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-') {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat(kTenantKey, ": only A-Z a-z 0-9 . _ - are allowed"));
  }
  return absl::OkStatus();
}

}  // namespace alchemist
