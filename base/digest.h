// SHA-256 by libcrypto, as lower-case hex. Used for base, tokenizer and adapter digests. Any
// thread.
#ifndef ALCHEMIST_BASE_DIGEST_H_
#define ALCHEMIST_BASE_DIGEST_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "base/status.h"

struct evp_md_ctx_st;

namespace alchemist {

// Digests what is added to it, in order.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Add(absl::string_view bytes);
  std::string HexDigest();  // REQUIRES: called once, last.

 private:
  evp_md_ctx_st* context_;
};

std::string Sha256Hex(absl::string_view bytes);

// The digest of a file's content, read through a mapping.
absl::StatusOr<std::string> Sha256OfFile(const std::string& path);

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_DIGEST_H_
