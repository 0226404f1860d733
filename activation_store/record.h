// What a record is, as plain values that both daemons understand: descriptors say where each run of
// a leased record lies in the arena. The store (owner) fills them, the link carries them, the
// reader checks them against its own mapping. docs/record_format.md has a worked example.
#ifndef ALCHEMIST_ACTIVATION_STORE_RECORD_H_
#define ALCHEMIST_ACTIVATION_STORE_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

namespace alchemist {

inline constexpr int64_t kKvPageTokens = 32;

// K/V pages that `tokens` positions need, in each layer.
constexpr int64_t KvPagesFor(int64_t tokens) {
  return (tokens + kKvPageTokens - 1) / kKvPageTokens;
}

// Which tiers hold a run's bytes; bits, since a hedged run is on two. None: must be recomputed.
enum Residency : uint32_t { kOnNone = 0, kOnDevice = 1, kOnHost = 2, kOnFile = 4 };

// What made a record. Everything in the system that outlives a request carries these five.
struct RecordIdentity {
  std::string tenant;  // "" = none said.
  std::string base_digest;
  std::string tokenizer_digest;
  std::string adapter_id;
  uint64_t revision = 0;
  std::string revision_digest;
};

// The rows of one run in one recorded tensor: `rows` dense rows of `bytes / rows` bytes.
struct TensorSlot {
  uint32_t tensor = 0;  // The layout's number; the store knows no model.
  uint32_t residency = kOnNone;
  uint64_t offset = 0;  // From the start of the arena.
  uint64_t bytes = 0;
  uint64_t generation = 0;  // Of every page it touches, as long as the lease lives.
  int64_t first_row = 0;    // Of the run; 0 unless the tensor holds head rows only.
  int64_t rows = 0;
};

struct RunDescriptor {
  int64_t first_position = 0;
  int64_t rows = 0;
  std::vector<std::vector<TensorSlot>> layers;  // One entry per block layer; may be empty.
};

// A K/V page: K [32, kv_width], then V [32, kv_width]; the first `rows` rows are written.
struct KvPageSlot {
  int64_t layer = 0;
  int64_t first_position = 0;
  int64_t rows = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t generation = 0;
  uint32_t residency = kOnNone;
};

struct RecordDescriptor {
  uint64_t lease_id = 0;
  uint64_t record_id = 0;
  RecordIdentity identity;
  // The parent edge is (record, tokens used); 0: a root. `runs` and `kv_pages` hold what is the
  // parents', too, so that a reader needs no other record.
  uint64_t parent_record = 0;
  int64_t parent_tokens = 0;
  int64_t tokens = 0;
  std::vector<RunDescriptor> runs;   // By position, without gaps.
  std::vector<KvPageSlot> kv_pages;  // By (layer, position), without gaps.
};

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_RECORD_H_
