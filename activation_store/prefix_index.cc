#include "activation_store/prefix_index.h"

#include <utility>

#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "base/logging.h"

namespace alchemist {
namespace {

// Fields with their lengths, so that no two identities give the same bytes.
void AddField(absl::string_view field, Sha256& digest) {
  const uint64_t size = field.size();
  digest.Add({reinterpret_cast<const char*>(&size), sizeof(size)});
  digest.Add(field);
}

std::string RootHash(const RecordIdentity& identity) {
  Sha256 digest;
  for (const std::string* field :
       {&identity.tenant, &identity.base_digest, &identity.tokenizer_digest, &identity.adapter_id,
        &identity.revision_digest}) {
    AddField(*field, digest);
  }
  digest.Add({reinterpret_cast<const char*>(&identity.revision), sizeof(identity.revision)});
  return digest.HexDigest();
}

}  // namespace

std::vector<std::string> HashBlocks(const RecordIdentity& identity,
                                    absl::Span<const int32_t> tokens) {
  std::vector<std::string> hashes;
  std::string before = RootHash(identity);
  for (size_t first = 0; first + kHashBlockTokens <= tokens.size(); first += kHashBlockTokens) {
    Sha256 digest;
    digest.Add(before);
    digest.Add(
        {reinterpret_cast<const char*>(tokens.data() + first), kHashBlockTokens * sizeof(int32_t)});
    before = digest.HexDigest();
    hashes.push_back(before);
  }
  return hashes;
}

void PrefixIndex::Add(uint64_t record_id, const std::vector<std::string>& hashes) {
  for (const std::string& hash : hashes) records_[hash].insert(record_id);
}

void PrefixIndex::Remove(uint64_t record_id, const std::vector<std::string>& hashes) {
  for (const std::string& hash : hashes) {
    const auto holders = records_.find(hash);
    CHECK(holders != records_.end() && holders->second.erase(record_id) == 1) << hash;
    if (holders->second.empty()) records_.erase(holders);
  }
}

Prefix PrefixIndex::Find(absl::Span<const std::string> hashes) const {
  Prefix prefix;
  for (const std::string& hash : hashes) {
    const auto holders = records_.find(hash);
    if (holders == records_.end()) break;
    prefix.record_id = *holders->second.begin();
    prefix.tokens += kHashBlockTokens;
  }
  return prefix;
}

}  // namespace alchemist
