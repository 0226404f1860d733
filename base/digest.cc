#include "base/digest.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "base/file.h"
#include "base/logging.h"

namespace alchemist {

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK_EQ(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr), 1);
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::Add(absl::string_view bytes) {
  CHECK_EQ(EVP_DigestUpdate(context_, bytes.data(), bytes.size()), 1);
}

std::string Sha256::HexDigest() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int bytes = 0;
  CHECK_EQ(EVP_DigestFinal_ex(context_, digest, &bytes), 1);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), bytes));
}

std::string Sha256Hex(absl::string_view bytes) {
  Sha256 sha;
  sha.Add(bytes);
  return sha.HexDigest();
}

absl::StatusOr<std::string> Sha256OfFile(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  return Sha256Hex({reinterpret_cast<const char*>(file.data()), static_cast<size_t>(file.bytes())});
}

}  // namespace alchemist
