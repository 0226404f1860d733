#include "activation_store/store.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

int64_t PagesFor(int64_t bytes, int64_t page_bytes) {
  return (bytes + page_bytes - 1) / page_bytes;
}

absl::Status CheckOptions(const StoreOptions& options) {
  if (options.page_bytes <= 0 || options.kv_page_bytes <= 0 || options.layers <= 0) {
    return absl::InvalidArgumentError(
        "store: page_bytes, kv_page_bytes and layers must be positive");
  }
  const int64_t kv_bytes_layers =
      PagesFor(options.kv_page_bytes, options.page_bytes) * options.page_bytes * options.layers;
  if (options.serving_kv_bytes < kv_bytes_layers) {
    return absl::InvalidArgumentError(absl::StrCat("serving_kv_bytes: ", options.serving_kv_bytes,
                                                   " is below the ", kv_bytes_layers,
                                                   " bytes of one K/V page in each layer"));
  }
  if (options.arena_bytes < options.serving_kv_bytes + options.page_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("device_bytes: ", options.arena_bytes,
                                                   " leaves nothing beside serving_kv_bytes ",
                                                   options.serving_kv_bytes));
  }
  return absl::OkStatus();
}

}  // namespace

ActivationStore::ActivationStore(StoreOptions options)
    : options_(std::move(options)),
      kv_page_pages_(PagesFor(options_.kv_page_bytes, options_.page_bytes)) {}

absl::StatusOr<std::unique_ptr<ActivationStore>> ActivationStore::Create(StoreOptions options,
                                                                         uint64_t canary) {
  RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<ActivationStore> store(new ActivationStore(std::move(options)));
  const StoreOptions& o = store->options_;
  ASSIGN_OR_RETURN(store->arena_, SharedMemory::Create("alchemist-arena", o.arena_bytes));
  const int64_t pages = o.arena_bytes / o.page_bytes;
  ASSIGN_OR_RETURN(store->generations_,
                   SharedMemory::Create("alchemist-generations", pages * sizeof(uint64_t)));
  // The first page holds the canary that the trainer reads back through its own mapping.
  std::copy_n(reinterpret_cast<const std::byte*>(&canary), sizeof(canary), store->data());
  const int64_t serving = o.serving_kv_bytes / o.page_bytes;
  store->serving_pages_ = std::make_unique<PagePool>(1, serving);
  store->record_pages_ = std::make_unique<PagePool>(1 + serving, pages - 1 - serving);
  return store;
}

std::optional<KvPage> ActivationStore::AllocateKvPage(PagePool& pool) {
  const std::optional<PageRun> pages = pool.Allocate(kv_page_pages_);
  if (!pages.has_value()) return std::nullopt;
  return KvPage{pages->first * options_.page_bytes, *pages};
}

std::optional<KvPage> ActivationStore::AllocateServingKvPage() {
  return AllocateKvPage(*serving_pages_);
}

void ActivationStore::FreeServingKvPage(const KvPage& page) { serving_pages_->Free(page.pages); }

int64_t ActivationStore::serving_kv_pages() const {
  return serving_pages_->pages_total() / kv_page_pages_;
}

// All are of one size and from one end, so what is free is in pieces of whole pages.
int64_t ActivationStore::serving_kv_pages_free() const {
  return serving_pages_->pages_free() / kv_page_pages_;
}

void ActivationStore::SetGeneration(PageRun pages, uint64_t generation) {
  auto* table = reinterpret_cast<std::atomic<uint64_t>*>(generations_.writable_data());
  // I4: the new generation is visible before the first new byte.
  for (int64_t page = pages.first; page < pages.first + pages.count; ++page) {
    table[page].store(generation, std::memory_order_seq_cst);
  }
}

uint64_t ActivationStore::Begin(RecordIdentity identity, int64_t now_us) {
  const uint64_t id = next_record_id_++;
  Record& record = records_[id];
  record.identity = std::move(identity);
  record.begun_us = now_us;
  return id;
}

const Block* ActivationStore::AppendBlock(std::vector<BlockRun> runs) {
  for (const BlockRun& run : runs) {
    CHECK(Get(run.record_id).state == State::kFilling) << "record " << run.record_id;
    CHECK(run.rows > 0 && run.head_rows >= 0 && run.head_rows <= run.rows);
  }
  if (!CouldHave(Block::PagesNeeded(options_.block_tensors, runs, options_.page_bytes))) {
    return nullptr;
  }
  const uint64_t generation = next_generation_++;
  std::optional<Block> block;
  do {
    block = Block::Allocate(options_.block_tensors, runs, options_.page_bytes, generation,
                            *record_pages_);
  } while (!block.has_value() && EvictOldest());
  if (!block.has_value()) return nullptr;
  for (const PageRun& pages : block->page_runs()) SetGeneration(pages, generation);
  const uint64_t block_id = next_block_id_++;
  for (size_t run = 0; run < runs.size(); ++run) {
    Get(runs[run].record_id).runs.push_back({block_id, static_cast<int64_t>(run)});
  }
  return &blocks_.emplace(block_id, *std::move(block)).first->second;
}

bool ActivationStore::AppendKvPages(uint64_t record_id, int64_t first_position) {
  CHECK(Get(record_id).state == State::kFilling) << "record " << record_id;
  CHECK_EQ(first_position, static_cast<int64_t>(Get(record_id).kv_pages.size()) * kKvPageTokens);
  if (!CouldHave(options_.layers * kv_page_pages_)) return false;
  std::vector<KvPage> pages;
  while (static_cast<int64_t>(pages.size()) < options_.layers) {
    const std::optional<KvPage> page = AllocateKvPage(*record_pages_);
    if (page.has_value()) {
      pages.push_back(*page);
    } else if (!EvictOldest()) {
      for (const KvPage& taken : pages) record_pages_->Free(taken.pages);
      return false;
    }
  }
  const uint64_t generation = next_generation_++;
  for (const KvPage& page : pages) SetGeneration(page.pages, generation);
  Record& record = Get(record_id);
  record.kv_pages.push_back(std::move(pages));
  record.kv_generations.push_back(generation);
  return true;
}

int64_t ActivationStore::KvOffset(uint64_t record_id, int64_t layer, int64_t position) const {
  const Record& record = Get(record_id);
  const int64_t page = position / kKvPageTokens;
  CHECK_LT(page, static_cast<int64_t>(record.kv_pages.size()));
  return record.kv_pages[page][layer].offset;
}

void ActivationStore::Seal(uint64_t record_id, int64_t tokens) {
  Record& record = Get(record_id);
  CHECK(record.state == State::kFilling) << "record " << record_id;
  CHECK_GT(tokens, 0);
  CHECK_LE(tokens, static_cast<int64_t>(record.kv_pages.size()) * kKvPageTokens);
  record.state = State::kSealed;
  record.tokens = tokens;
}

void ActivationStore::Abort(uint64_t record_id) {
  CHECK(Get(record_id).state == State::kFilling) << "record " << record_id;
  Free(record_id);
}

void ActivationStore::Unpin(uint64_t record_id) {
  Record& record = Get(record_id);
  CHECK(record.pinned) << "record " << record_id;
  CHECK(record.state == State::kSealed) << "a filling record ends by Seal or Abort";
  record.pinned = false;
}

bool ActivationStore::Holds(uint64_t record_id) const {
  const auto it = records_.find(record_id);
  return it != records_.end() && it->second.state == State::kSealed;
}

std::set<uint64_t> ActivationStore::Revisions() const {
  std::set<uint64_t> revisions;
  for (const auto& [id, record] : records_) revisions.insert(record.identity.revision);
  return revisions;
}

int64_t ActivationStore::EvictOlderThan(int64_t begun_before_us) {
  std::vector<uint64_t> old;
  for (const auto& [id, record] : records_) {
    if (record.begun_us >= begun_before_us) break;  // By id is by time.
    if (MayEvict(record)) old.push_back(id);
  }
  for (const uint64_t id : old) Free(id);
  evictions_ += static_cast<int64_t>(old.size());
  return static_cast<int64_t>(old.size());
}

bool ActivationStore::MayEvict(const Record& record) {
  return record.state == State::kSealed && !record.pinned && record.leases == 0;
}

// Whether `pages` pages can be free once enough is evicted. Looks at no more records than it must.
// A page that two runs touch counts for each, so that "no" is certain and "yes" is not.
bool ActivationStore::CouldHave(int64_t pages) const {
  int64_t found = record_pages_->pages_free();
  for (const auto& [id, record] : records_) {
    if (found >= pages) return true;
    if (!MayEvict(record)) continue;
    found += static_cast<int64_t>(record.kv_pages.size()) * options_.layers * kv_page_pages_;
    for (const RunRef& ref : record.runs) found += blocks_.at(ref.block_id).PagesOf(ref.run);
  }
  return found >= pages;
}

bool ActivationStore::EvictOldest() {
  for (const auto& [id, record] : records_) {
    if (!MayEvict(record)) continue;
    Free(id);
    ++evictions_;
    return true;
  }
  return false;
}

void ActivationStore::Free(uint64_t record_id) {
  Record& record = Get(record_id);
  CHECK_EQ(record.leases, 0) << "record " << record_id;
  for (const RunRef& ref : record.runs) {
    const auto block = blocks_.find(ref.block_id);
    CHECK(block != blocks_.end()) << "block " << ref.block_id;
    block->second.DropRun(ref.run, *record_pages_);
    if (block->second.runs_live() == 0) blocks_.erase(block);
  }
  for (const std::vector<KvPage>& layers : record.kv_pages) {
    for (const KvPage& page : layers) record_pages_->Free(page.pages);
  }
  records_.erase(record_id);
}

absl::StatusOr<RecordDescriptor> ActivationStore::Lease(uint64_t record_id,
                                                        uint64_t session_epoch) {
  if (!Holds(record_id)) return absl::NotFoundError(absl::StrCat("record ", record_id, " is gone"));
  Record& record = Get(record_id);
  RecordDescriptor descriptor;
  descriptor.record_id = record_id;
  descriptor.identity = record.identity;
  descriptor.tokens = record.tokens;
  for (const RunRef& ref : record.runs) {
    descriptor.runs.push_back(blocks_.at(ref.block_id).Describe(ref.run, options_.block_layers));
  }
  for (int64_t layer = 0; layer < options_.layers; ++layer) {
    for (size_t page = 0; page < record.kv_pages.size(); ++page) {
      KvPageSlot slot;
      slot.layer = layer;
      slot.first_position = static_cast<int64_t>(page) * kKvPageTokens;
      slot.rows = std::min(kKvPageTokens, record.tokens - slot.first_position);
      slot.offset = record.kv_pages[page][layer].offset;
      slot.bytes = options_.kv_page_bytes;
      slot.generation = record.kv_generations[page];
      slot.residency = kOnDevice;
      descriptor.kv_pages.push_back(slot);
    }
  }
  descriptor.lease_id = leases_.Add(record_id, session_epoch, options_.block_layers);
  ++record.leases;
  return descriptor;
}

bool ActivationStore::Release(uint64_t session_epoch, uint64_t lease_id, int64_t first_layer,
                              int64_t layers) {
  if (!leases_.Holds(session_epoch, lease_id)) return false;
  const std::optional<uint64_t> ended =
      leases_.Release(session_epoch, lease_id, first_layer, layers);
  if (ended.has_value()) --Get(*ended).leases;
  return true;
}

void ActivationStore::EndSession(uint64_t session_epoch) {
  for (const uint64_t record_id : leases_.EndSession(session_epoch)) --Get(record_id).leases;
}

ActivationStore::Record& ActivationStore::Get(uint64_t record_id) {
  const auto it = records_.find(record_id);
  CHECK(it != records_.end()) << "record " << record_id;
  return it->second;
}

const ActivationStore::Record& ActivationStore::Get(uint64_t record_id) const {
  const auto it = records_.find(record_id);
  CHECK(it != records_.end()) << "record " << record_id;
  return it->second;
}

ActivationStore::Ledger ActivationStore::ledger() const {
  Ledger ledger;
  const int64_t page = options_.page_bytes;
  ledger.bytes_total = options_.arena_bytes;
  ledger.serving_kv_bytes = serving_pages_->pages_total() * page;
  ledger.serving_kv_bytes_used =
      (serving_pages_->pages_total() - serving_pages_->pages_free()) * page;
  ledger.record_bytes = record_pages_->pages_total() * page;
  for (const auto& [id, block] : blocks_) ledger.block_bytes += block.pages_held() * page;
  for (const auto& [id, record] : records_) {
    ledger.record_kv_bytes +=
        static_cast<int64_t>(record.kv_pages.size()) * options_.layers * kv_page_pages_ * page;
    ++ledger.records;
    ledger.records_leased += record.leases > 0 ? 1 : 0;
  }
  ledger.leases = leases_.size();
  ledger.evictions = evictions_;
  return ledger;
}

std::string ActivationStore::Inspect() const {
  const Ledger l = ledger();
  std::string text =
      absl::StrCat("arena ", l.bytes_total, " bytes, ", arena_.page_kind(), " pages\nserving K/V ",
                   l.serving_kv_bytes_used, " of ", l.serving_kv_bytes, "\nrecords ", l.records,
                   " (", l.leases, " leases), blocks ", l.block_bytes, " + K/V ", l.record_kv_bytes,
                   " of ", l.record_bytes, ", evictions ", l.evictions, "\n");
  for (const auto& [id, record] : records_) {
    absl::StrAppend(&text, "record ", id, " ",
                    record.state == State::kFilling ? "FILLING"
                    : record.leases > 0             ? "LEASED"
                                                    : "SEALED",
                    record.pinned ? " pinned" : "", " adapter ", record.identity.adapter_id,
                    " revision ", record.identity.revision, " tokens ", record.tokens, " runs ",
                    record.runs.size(), " leases ", record.leases, "\n");
  }
  return text;
}

void ActivationStore::CheckInvariants() const {
  serving_pages_->CheckInvariants();
  record_pages_->CheckInvariants();
  const Ledger l = ledger();
  CHECK_EQ(l.block_bytes + l.record_kv_bytes + record_pages_->pages_free() * options_.page_bytes,
           l.record_bytes)
      << "I5: every page of the records' part is free, a block's or a record's";
  int64_t runs_live = 0;
  for (const auto& [id, block] : blocks_) {
    CHECK_GT(block.runs_live(), 0) << "block " << id << " outlived its runs";
    runs_live += block.runs_live();
  }
  int64_t leases = 0;
  for (const auto& [id, record] : records_) {
    runs_live -= static_cast<int64_t>(record.runs.size());
    leases += record.leases;
    CHECK_GE(record.leases, 0) << "record " << id;
    CHECK(record.leases == 0 || record.state == State::kSealed) << "record " << id;
  }
  CHECK_EQ(runs_live, 0) << "every live run belongs to one record";
  CHECK_EQ(leases, leases_.size());
}

}  // namespace alchemist
