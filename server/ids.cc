#include "server/ids.h"

#include <sys/random.h>

#include <cerrno>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/logging.h"

namespace alchemist {
namespace {

std::string RandomHex() {
  char bytes[16];
  // Up to 256 bytes come whole or not at all; only the wait for the first entropy after boot can
  // be interrupted.
  ssize_t got;
  do {
    got = getrandom(bytes, sizeof(bytes), 0);
  } while (got < 0 && errno == EINTR);
  PCHECK(got == static_cast<ssize_t>(sizeof(bytes))) << "getrandom";
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

}  // namespace

std::string MintCompletionId() { return absl::StrCat("cmpl-", RandomHex()); }

std::string MintRequestId() { return absl::StrCat("req-", RandomHex()); }

std::string MintFeedbackId() { return absl::StrCat("fb-", RandomHex()); }

}  // namespace alchemist
