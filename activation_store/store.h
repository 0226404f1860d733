// ActivationStore: owner of the arena and of everything recorded in it: blocks, runs, K/V pages,
// records, leases. Moves bytes' ownership and knows no model. Owned by the serving loop, whose
// thread makes all calls; only the shared pages it writes are read elsewhere.
//
// States of a record and the functions that move it (I1-I7 of RELIABILITY.md section 2):
//
//     FREE --Begin--> FILLING --Seal--> SEALED --Lease--> LEASED
//       ^               |                 |  ^               |
//       +----Abort------+                 |  +---Release, ---+
//       +----eviction by AppendBlock, ----+      EndSession
//            AppendKvPages, EvictOlderThan
//
// Records form a tree: one can go on from the first tokens of another, whose prefix it shares. Only
// leaves are evicted, in the order of eviction.h, and none that is FILLING, pinned or LEASED.
#ifndef ALCHEMIST_ACTIVATION_STORE_STORE_H_
#define ALCHEMIST_ACTIVATION_STORE_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "activation_store/block.h"
#include "activation_store/eviction.h"
#include "activation_store/lease_table.h"
#include "activation_store/prefix_index.h"
#include "activation_store/record.h"
#include "base/status.h"
#include "kernels/page_pool.h"
#include "kernels/shared_memory.h"

namespace alchemist {

struct StoreOptions {
  int64_t arena_bytes = 0;
  int64_t serving_kv_bytes = 0;  // Reserved for serving's K/V; the rest is for records.
  int64_t page_bytes = 4096;
  int64_t layers = 0;
  int64_t kv_page_bytes = 0;               // One layer's K and V of 32 tokens.
  std::vector<BlockTensor> block_tensors;  // What a block holds, by the model's layout.
  int64_t block_layers = 0;                // Entries of RunDescriptor::layers.
};

// One layer's K/V page: an offset in the arena.
struct KvPage {
  int64_t offset = 0;
  PageRun pages;
};

class ActivationStore {
 public:
  static absl::StatusOr<std::unique_ptr<ActivationStore>> Create(StoreOptions options,
                                                                 uint64_t canary);

  // ---- Serving's own K/V: never recorded, never leased ----
  std::optional<KvPage> AllocateServingKvPage();
  void FreeServingKvPage(const KvPage& page);
  int64_t serving_kv_pages() const;  // In all, lent or free.
  int64_t serving_kv_pages_free() const;

  // ---- Records ----
  // The longest prefix of `hashes` (of HashBlocks) that a sealed record's chain holds.
  Prefix FindPrefix(absl::Span<const std::string> hashes) const { return prefixes_.Find(hashes); }
  // FREE -> FILLING. Ids are never reused. The record is pinned once, until Unpin. It goes on from
  // `parent`, which was found by FindPrefix for the same identity, or is none.
  uint64_t Begin(RecordIdentity identity, Prefix parent, int64_t now_us);
  // A block for one step's recorded rows; evicts records until it fits. Null when it does not;
  // nothing is evicted when all that may be evicted has too few pages, only where they are not
  // adjacent. REQUIRES: all records are FILLING.
  const Block* AppendBlock(std::vector<BlockRun> runs);
  // FREE -> FILLING. The record of an answer goes on from the SEALED record of its whole prompt.
  // Its first K/V page stands for the prompt's last one where the prompt does not fill that, and is
  // to begin with a copy of its rows.
  uint64_t BeginResponse(uint64_t prompt_record, int64_t now_us);
  // K/V pages in every layer for all positions of a FILLING record before `tokens` that have none;
  // likewise.
  bool AppendKvPages(uint64_t record_id, int64_t tokens);
  // The K/V of the first `tokens` positions of a record's chain, by page. Valid until the record,
  // or the page's, ends.
  struct KvPages {
    const std::vector<KvPage>* layers = nullptr;
    uint64_t generation = 0;
  };
  std::vector<KvPages> KvOf(uint64_t record_id, int64_t tokens) const;
  // FILLING -> SEALED; immutable from here, and found by `hashes`, which are HashBlocks of all its
  // tokens.
  void Seal(uint64_t record_id, int64_t tokens, absl::Span<const std::string> hashes);
  // Whether there could be room for the K/V and the activations of all `tokens` tokens of a FILLING
  // record, if everything else were evicted that may be. "No" is certain.
  bool CouldRecord(uint64_t record_id, int64_t tokens) const;
  // A FILLING record gives its activations back and keeps its K/V: it can only end by Abort.
  void DropRuns(uint64_t record_id);
  void Abort(uint64_t record_id);  // FILLING -> FREE.
  // A running request reads the K/V of a SEALED record that is not its own.
  void Pin(uint64_t record_id, int64_t now_us);
  // A running request is done with a record's K/V: it was of use until now.
  void Unpin(uint64_t record_id, int64_t now_us);
  bool Holds(uint64_t record_id) const;  // SEALED or LEASED.
  // The revisions that made the records, those still FILLING included.
  std::set<uint64_t> Revisions() const;
  // SEALED -> FREE for records that may be evicted and were last used before `used_before_us`.
  int64_t EvictOlderThan(int64_t used_before_us);

  // ---- A look at a record, for people ----
  struct RecordLook {
    RecordDescriptor descriptor;  // As a lease would say it, without a lease.
    bool is_response = false;
    int64_t pins = 0;  // Beside that of this look.
    int64_t leases = 0;
  };
  // Pins a SEALED record until EndLook, so that its bytes can be read on another thread. Looking is
  // no use: the order of eviction stays. NotFound when the record is gone or never was;
  // FailedPrecondition when it is FILLING.
  absl::StatusOr<RecordLook> BeginLook(uint64_t record_id);
  void EndLook(uint64_t record_id);

  // ---- Leases ----
  // The trainer's right to read all layers of the record's chain: what it shares with others, too.
  // NotFound when the record is gone.
  absl::StatusOr<RecordDescriptor> Lease(uint64_t record_id, uint64_t session_epoch);
  // Ends the lease for layers [first_layer, first_layer + layers); idempotent. A lease of another
  // session, or one that ended, changes nothing (false).
  bool Release(uint64_t session_epoch, uint64_t lease_id, int64_t first_layer, int64_t layers);
  // The trainer of `session_epoch` can read no more (Goodbye, or proven dead): all its leases end.
  void EndSession(uint64_t session_epoch);

  const SharedMemory& arena() const { return arena_; }
  std::byte* data() const { return arena_.writable_data(); }
  const SharedMemory& generations() const { return generations_; }

  struct Usage {
    int64_t records = 0, bytes = 0;  // Of blocks and K/V pages.
  };
  struct Ledger {
    int64_t bytes_total = 0;
    int64_t serving_kv_bytes = 0, serving_kv_bytes_used = 0;
    int64_t record_bytes = 0;  // The records' part of the arena.
    int64_t block_bytes = 0, record_kv_bytes = 0;
    int64_t records = 0, records_leased = 0, leases = 0, evictions = 0;
    int64_t hash_blocks = 0;  // Prefixes that can be found.
    // By state, `sealed` without the leased ones. A block that several records share counts as
    // leased when one of them is, else as filling when one of them is.
    Usage sealed, filling, leased;
  };
  Ledger ledger() const;
  std::string Inspect() const;  // One line per record, for people.
  void CheckInvariants() const;

 private:
  enum class State { kFilling, kSealed };
  struct RunRef {
    uint64_t block_id = 0;
    int64_t run = 0;
  };
  struct Record {
    RecordIdentity identity;
    State state = State::kFilling;
    RecordUse use;
    Prefix parent;
    bool is_response = false;
    int64_t children = 0;  // Records that go on from it.
    int64_t tokens = 0;    // With those of its parents.
    int64_t pins = 1;
    int64_t leases = 0;
    std::vector<std::string> hashes;  // Of the hash blocks that it holds itself.
    std::vector<RunRef> runs;
    // [page index - first_page()][layer], page index = position / 32.
    std::vector<std::vector<KvPage>> kv_pages;
    std::vector<uint64_t> kv_generations;  // The same without layers.

    int64_t first_page() const { return parent.tokens / kKvPageTokens; }
  };

  explicit ActivationStore(StoreOptions options);
  static bool IsFree(const Record& record);
  static bool MayEvict(const Record& record);
  bool CouldHave(int64_t pages) const;
  int64_t PagesOf(const Record& record) const;
  void AddUsage(Ledger& ledger) const;
  bool EvictOne();
  void Use(uint64_t record_id, int64_t now_us);
  uint64_t Add(RecordIdentity identity, Prefix parent, int64_t now_us);
  void DescribePrefix(Prefix prefix, std::vector<RunDescriptor>& runs) const;
  void Describe(const Record& record, std::vector<RunDescriptor>& runs) const;
  RecordDescriptor DescriptorOf(uint64_t record_id) const;
  void FreeRuns(Record& record);
  void Free(uint64_t record_id);
  std::optional<KvPage> AllocateKvPage(PagePool& pool);
  void SetGeneration(PageRun pages, uint64_t generation);
  Record& Get(uint64_t record_id);
  const Record& Get(uint64_t record_id) const;

  const StoreOptions options_;
  const int64_t kv_page_pages_;
  SharedMemory arena_;
  SharedMemory generations_;  // One u64 per page.
  std::unique_ptr<PagePool> serving_pages_;
  std::unique_ptr<PagePool> record_pages_;
  std::map<uint64_t, Record> records_;  // By id: oldest first.
  std::map<uint64_t, Block> blocks_;
  PrefixIndex prefixes_;
  LeaseTable leases_;
  int64_t now_us_ = 0;  // As last told.
  uint64_t next_record_id_ = 1;
  uint64_t next_block_id_ = 1;
  uint64_t next_generation_ = 1;
  int64_t evictions_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_STORE_H_
