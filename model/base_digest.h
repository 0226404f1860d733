// The digest that names a base model: whatever was computed with other weights is worth nothing.
// Weight files are large, so the digest of each is kept in a small cache file under its device,
// inode, size and times. Any thread; processes may share a cache.
#ifndef ALCHEMIST_MODEL_BASE_DIGEST_H_
#define ALCHEMIST_MODEL_BASE_DIGEST_H_

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace alchemist {

class DigestCache {
 public:
  // Keeps its files in `directory`, which it makes; "" or a place that cannot be written: nothing
  // is kept, every digest is computed, and nobody is told.
  DigestCache(std::string directory, const Clock* clock)
      : directory_(std::move(directory)), clock_(clock) {}
  // $XDG_CACHE_HOME/alchemist/digests, else ~/.cache/alchemist/digests.
  static std::string DefaultDirectory();

  // The SHA-256 (hex) of a file's content. A file that changed within the last second is not kept:
  // another change could leave all its times as they are.
  absl::StatusOr<std::string> Sha256OfFile(const std::string& path) const;

 private:
  std::string directory_;
  const Clock* clock_;
};

// SHA-256 (hex) over name, size and content's digest of each of the files `names` of `directory`,
// in ascending order of name.
absl::StatusOr<std::string> BaseDigest(const std::string& directory, std::vector<std::string> names,
                                       const DigestCache& cache);

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_BASE_DIGEST_H_
