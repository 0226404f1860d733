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

uint64_t ActivationStore::Begin(RecordIdentity identity, Prefix parent, int64_t now_us) {
  CHECK_EQ(parent.tokens % kHashBlockTokens, 0);
  if (parent.record_id != 0) {
    const RecordIdentity& shared = Get(parent.record_id).identity;
    CHECK(shared.tenant == identity.tenant) << "record " << parent.record_id;
    CHECK(shared.revision_digest == identity.revision_digest) << "record " << parent.record_id;
  }
  return Add(std::move(identity), parent, now_us);
}

uint64_t ActivationStore::BeginResponse(uint64_t prompt_record, int64_t now_us) {
  const Record& prompt = Get(prompt_record);
  CHECK(!prompt.is_response) << "record " << prompt_record;
  const uint64_t id = Add(prompt.identity, {prompt_record, prompt.tokens}, now_us);
  Get(id).is_response = true;
  return id;
}

uint64_t ActivationStore::Add(RecordIdentity identity, Prefix parent, int64_t now_us) {
  const uint64_t id = next_record_id_++;
  now_us_ = now_us;
  if (parent.record_id != 0) {
    Record& shared = Get(parent.record_id);
    CHECK(shared.state == State::kSealed && parent.tokens <= shared.tokens) << parent.record_id;
    ++shared.children;
    Use(parent.record_id, now_us);
  }
  Record& record = records_[id];
  record.identity = std::move(identity);
  record.parent = parent;
  record.use.used_us = now_us;
  return id;
}

// What serves one prefix serves those it goes on from.
void ActivationStore::Use(uint64_t record_id, int64_t now_us) {
  for (uint64_t id = record_id; id != 0; id = Get(id).parent.record_id) {
    Get(id).use.used_us = now_us;
  }
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
  } while (!block.has_value() && EvictOne());
  if (!block.has_value()) return nullptr;
  for (const PageRun& pages : block->page_runs()) SetGeneration(pages, generation);
  const uint64_t block_id = next_block_id_++;
  for (size_t run = 0; run < runs.size(); ++run) {
    Get(runs[run].record_id).runs.push_back({block_id, static_cast<int64_t>(run)});
  }
  return &blocks_.emplace(block_id, *std::move(block)).first->second;
}

bool ActivationStore::AppendKvPages(uint64_t record_id, int64_t tokens) {
  const Record& filling = Get(record_id);
  CHECK(filling.state == State::kFilling) << "record " << record_id;
  const int64_t count =
      KvPagesFor(tokens) - filling.first_page() - static_cast<int64_t>(filling.kv_pages.size());
  CHECK_GT(count, 0) << "record " << record_id;
  if (!CouldHave(count * options_.layers * kv_page_pages_)) return false;
  std::vector<KvPage> pages;
  while (static_cast<int64_t>(pages.size()) < count * options_.layers) {
    const std::optional<KvPage> page = AllocateKvPage(*record_pages_);
    if (page.has_value()) {
      pages.push_back(*page);
    } else if (!EvictOne()) {
      for (const KvPage& taken : pages) record_pages_->Free(taken.pages);
      return false;
    }
  }
  const uint64_t generation = next_generation_++;
  for (const KvPage& page : pages) SetGeneration(page.pages, generation);
  Record& record = Get(record_id);
  for (auto page = pages.begin(); page != pages.end(); page += options_.layers) {
    record.kv_pages.emplace_back(page, page + options_.layers);
    record.kv_generations.push_back(generation);
  }
  return true;
}

std::vector<ActivationStore::KvPages> ActivationStore::KvOf(uint64_t record_id,
                                                            int64_t tokens) const {
  std::vector<KvPages> pages(KvPagesFor(tokens));
  int64_t end = static_cast<int64_t>(pages.size());  // Those from here on are found.
  for (uint64_t id = record_id; id != 0; id = Get(id).parent.record_id) {
    const Record& record = Get(id);
    const int64_t first = record.first_page();
    CHECK_LE(end, first + static_cast<int64_t>(record.kv_pages.size())) << "record " << id;
    for (; end > first; --end) {
      pages[end - 1] = {&record.kv_pages[end - 1 - first], record.kv_generations[end - 1 - first]};
    }
  }
  CHECK_EQ(end, 0) << "record " << record_id;
  return pages;
}

void ActivationStore::Seal(uint64_t record_id, int64_t tokens,
                           absl::Span<const std::string> hashes) {
  Record& record = Get(record_id);
  CHECK(record.state == State::kFilling) << "record " << record_id;
  CHECK_GT(tokens, record.parent.tokens);
  const int64_t own_pages = static_cast<int64_t>(record.kv_pages.size());
  CHECK_LE(KvPagesFor(tokens), record.first_page() + own_pages);
  CHECK_EQ(static_cast<int64_t>(hashes.size()), tokens / kHashBlockTokens);
  record.state = State::kSealed;
  record.tokens = tokens;
  const auto own = hashes.subspan(record.parent.tokens / kHashBlockTokens);
  record.hashes.assign(own.begin(), own.end());
  prefixes_.Add(record_id, record.hashes);
}

bool ActivationStore::CouldRecord(uint64_t record_id, int64_t tokens) const {
  const Record& filling = Get(record_id);
  CHECK(filling.state == State::kFilling) << "record " << record_id;
  const int64_t rows = tokens - filling.parent.tokens;
  const int64_t kv_pages = KvPagesFor(tokens) - filling.first_page();
  return CouldHave(kv_pages * options_.layers * kv_page_pages_ +
                   Block::PagesNeeded(options_.block_tensors,
                                      {{record_id, filling.parent.tokens, rows, /*head_rows=*/1}},
                                      options_.page_bytes));
}

void ActivationStore::DropRuns(uint64_t record_id) {
  Record& record = Get(record_id);
  CHECK(record.state == State::kFilling) << "record " << record_id;
  FreeRuns(record);
}

void ActivationStore::Abort(uint64_t record_id) {
  CHECK(Get(record_id).state == State::kFilling) << "record " << record_id;
  Free(record_id);
}

void ActivationStore::Pin(uint64_t record_id, int64_t now_us) {
  Record& record = Get(record_id);
  CHECK(record.state == State::kSealed) << "record " << record_id;
  ++record.pins;
  now_us_ = now_us;
  Use(record_id, now_us);
}

void ActivationStore::Unpin(uint64_t record_id, int64_t now_us) {
  Record& record = Get(record_id);
  CHECK_GT(record.pins, 0) << "record " << record_id;
  CHECK(record.state == State::kSealed) << "a filling record ends by Seal or Abort";
  --record.pins;
  now_us_ = now_us;
  Use(record_id, now_us);
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

int64_t ActivationStore::EvictOlderThan(int64_t used_before_us) {
  int64_t evicted = 0;
  // From the newest down: a child has a larger id than its parent, and is used no later.
  for (auto it = records_.end(); it != records_.begin();) {
    --it;
    if (it->second.use.used_us >= used_before_us || !MayEvict(it->second)) continue;
    const uint64_t id = it->first;
    ++it;
    Free(id);
    ++evicted;
  }
  evictions_ += evicted;
  return evicted;
}

bool ActivationStore::IsFree(const Record& record) {
  return record.state == State::kSealed && record.pins == 0 && record.leases == 0;
}

bool ActivationStore::MayEvict(const Record& record) {
  return IsFree(record) && record.children == 0;
}

int64_t ActivationStore::PagesOf(const Record& record) const {
  int64_t pages = static_cast<int64_t>(record.kv_pages.size()) * options_.layers * kv_page_pages_;
  for (const RunRef& ref : record.runs) pages += blocks_.at(ref.block_id).PagesOf(ref.run);
  return pages;
}

// Whether `pages` pages can be free once enough is evicted: leaves, then what they went on from. A
// page that two runs touch counts for each, so that "no" is certain and "yes" is not.
bool ActivationStore::CouldHave(int64_t pages) const {
  int64_t found = record_pages_->pages_free();
  std::set<uint64_t> held;  // By a child that stays.
  for (auto it = records_.rbegin(); found < pages && it != records_.rend(); ++it) {
    const auto& [id, record] = *it;
    if (IsFree(record) && !held.contains(id)) {
      found += PagesOf(record);
    } else {
      held.insert(record.parent.record_id);
    }
  }
  return found >= pages;
}

bool ActivationStore::EvictOne() {
  uint64_t victim = 0;
  int64_t age_us = 0;
  for (const auto& [id, record] : records_) {
    const int64_t its_age_us = EvictionAgeUs(record.use, now_us_);
    if (!MayEvict(record) || (victim != 0 && its_age_us <= age_us)) continue;
    victim = id;
    age_us = its_age_us;
  }
  if (victim == 0) return false;
  Free(victim);
  ++evictions_;
  return true;
}

void ActivationStore::FreeRuns(Record& record) {
  for (const RunRef& ref : record.runs) {
    const auto block = blocks_.find(ref.block_id);
    CHECK(block != blocks_.end()) << "block " << ref.block_id;
    block->second.DropRun(ref.run, *record_pages_);
    if (block->second.runs_live() == 0) blocks_.erase(block);
  }
  record.runs.clear();
}

void ActivationStore::Free(uint64_t record_id) {
  Record& record = Get(record_id);
  CHECK(record.leases == 0 && record.children == 0) << "record " << record_id;
  FreeRuns(record);
  for (const std::vector<KvPage>& layers : record.kv_pages) {
    for (const KvPage& page : layers) record_pages_->Free(page.pages);
  }
  prefixes_.Remove(record_id, record.hashes);
  if (record.parent.record_id != 0) --Get(record.parent.record_id).children;
  records_.erase(record_id);
}

// The runs of a record's chain before prefix.tokens.
void ActivationStore::DescribePrefix(Prefix prefix, std::vector<RunDescriptor>& runs) const {
  if (prefix.record_id == 0) return;
  const Record& record = Get(prefix.record_id);
  DescribePrefix(record.parent, runs);
  for (const RunRef& ref : record.runs) {
    const Block& block = blocks_.at(ref.block_id);
    const BlockRun& run = block.run(ref.run);
    const int64_t rows = std::min(run.rows, prefix.tokens - run.first_position);
    if (rows > 0) runs.push_back(block.DescribePrefix(ref.run, options_.block_layers, rows));
  }
}

// All runs of a record's chain. The first token of an answer is trained at its prompt's last row.
void ActivationStore::Describe(const Record& record, std::vector<RunDescriptor>& runs) const {
  if (record.is_response) {
    Describe(Get(record.parent.record_id), runs);
  } else {
    DescribePrefix(record.parent, runs);
  }
  for (const RunRef& ref : record.runs) {
    const Block& block = blocks_.at(ref.block_id);
    const BlockRun& run = block.run(ref.run);
    const int64_t rows = std::min(run.rows, record.tokens - run.first_position);
    runs.push_back(block.Describe(ref.run, options_.block_layers, rows));
  }
}

RecordDescriptor ActivationStore::DescriptorOf(uint64_t record_id) const {
  const Record& record = Get(record_id);
  RecordDescriptor descriptor;
  descriptor.record_id = record_id;
  descriptor.identity = record.identity;
  descriptor.tokens = record.tokens;
  descriptor.parent_record = record.parent.record_id;
  descriptor.parent_tokens = record.parent.tokens;
  Describe(record, descriptor.runs);
  const std::vector<KvPages> pages = KvOf(record_id, record.tokens);
  for (int64_t layer = 0; layer < options_.layers; ++layer) {
    for (size_t page = 0; page < pages.size(); ++page) {
      KvPageSlot slot;
      slot.layer = layer;
      slot.first_position = static_cast<int64_t>(page) * kKvPageTokens;
      slot.rows = std::min(kKvPageTokens, record.tokens - slot.first_position);
      slot.offset = (*pages[page].layers)[layer].offset;
      slot.bytes = options_.kv_page_bytes;
      slot.generation = pages[page].generation;
      slot.residency = kOnDevice;
      descriptor.kv_pages.push_back(slot);
    }
  }
  return descriptor;
}

absl::StatusOr<ActivationStore::RecordLook> ActivationStore::BeginLook(uint64_t record_id) {
  const auto it = records_.find(record_id);
  if (it == records_.end()) {
    const bool was = record_id != 0 && record_id < next_record_id_;
    return absl::NotFoundError(was ? absl::StrCat("record ", record_id, " is gone")
                                   : absl::StrCat("there was no record ", record_id, " yet"));
  }
  Record& record = it->second;
  if (record.state == State::kFilling) {
    return absl::FailedPreconditionError(
        absl::StrCat("record ", record_id, " is FILLING: it can be read when it is SEALED"));
  }
  RecordLook look = {DescriptorOf(record_id), record.is_response, record.pins, record.leases};
  ++record.pins;
  return look;
}

void ActivationStore::EndLook(uint64_t record_id) {
  Record& record = Get(record_id);
  CHECK_GT(record.pins, 0) << "record " << record_id;
  --record.pins;
}

absl::StatusOr<RecordDescriptor> ActivationStore::Lease(uint64_t record_id,
                                                        uint64_t session_epoch) {
  if (!Holds(record_id)) return absl::NotFoundError(absl::StrCat("record ", record_id, " is gone"));
  RecordDescriptor descriptor = DescriptorOf(record_id);
  descriptor.lease_id = leases_.Add(record_id, session_epoch, options_.block_layers);
  ++Get(record_id).leases;
  return descriptor;
}

bool ActivationStore::Release(uint64_t session_epoch, uint64_t lease_id, int64_t first_layer,
                              int64_t layers) {
  if (!leases_.Holds(session_epoch, lease_id)) return false;
  const std::optional<uint64_t> ended =
      leases_.Release(session_epoch, lease_id, first_layer, layers);
  if (ended.has_value()) {
    Record& record = Get(*ended);
    --record.leases;
    record.use.trained = true;
    if (record.is_response) Get(record.parent.record_id).use.trained = true;
  }
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
  ledger.hash_blocks = prefixes_.size();
  ledger.evictions = evictions_;
  AddUsage(ledger);
  return ledger;
}

void ActivationStore::AddUsage(Ledger& ledger) const {
  Usage* const by_state[] = {&ledger.sealed, &ledger.filling, &ledger.leased};
  const auto state_of = [](const Record& record) {
    if (record.leases > 0) return 2;
    return record.state == State::kFilling ? 1 : 0;
  };
  std::map<uint64_t, int> block_states;
  for (const auto& [id, record] : records_) {
    const int state = state_of(record);
    ++by_state[state]->records;
    by_state[state]->bytes += static_cast<int64_t>(record.kv_pages.size()) * options_.layers *
                              kv_page_pages_ * options_.page_bytes;
    for (const RunRef& ref : record.runs) {
      int& block_state = block_states[ref.block_id];
      block_state = std::max(block_state, state);
    }
  }
  for (const auto& [block_id, state] : block_states) {
    by_state[state]->bytes += blocks_.at(block_id).pages_held() * options_.page_bytes;
  }
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
                    " pins ", record.pins, " adapter ", record.identity.adapter_id, " revision ",
                    record.identity.revision, " tokens ", record.tokens, " runs ",
                    record.runs.size(), " leases ", record.leases, " parent ",
                    record.parent.record_id, " tokens ", record.parent.tokens, " children ",
                    record.children, "\n");
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
  CHECK_EQ(l.sealed.bytes + l.filling.bytes + l.leased.bytes, l.block_bytes + l.record_kv_bytes)
      << "every byte of a record is in one state";
  int64_t runs_live = 0;
  for (const auto& [id, block] : blocks_) {
    CHECK_GT(block.runs_live(), 0) << "block " << id << " outlived its runs";
    runs_live += block.runs_live();
  }
  int64_t leases = 0;
  std::map<uint64_t, int64_t> children;
  for (const auto& [id, record] : records_) {
    runs_live -= static_cast<int64_t>(record.runs.size());
    leases += record.leases;
    CHECK_GE(record.leases, 0) << "record " << id;
    CHECK(record.leases == 0 || record.state == State::kSealed) << "record " << id;
    children[record.parent.record_id] += 1;
  }
  for (const auto& [id, record] : records_) {
    CHECK_EQ(record.children, children.contains(id) ? children.at(id) : 0) << "record " << id;
    const auto parent = records_.find(record.parent.record_id);
    CHECK(record.parent.record_id == 0 || parent != records_.end()) << "record " << id;
  }
  CHECK_EQ(runs_live, 0) << "every live run belongs to one record";
  CHECK_EQ(leases, leases_.size());
}

}  // namespace alchemist
