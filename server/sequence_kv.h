// SequenceKv: where one running sequence's K/V lies. Prompt pages of a recorded request belong to
// its record and those it goes on from; all others are serving's own, taken as the sequence grows.
// A sealed page is never written: when the prompt does not fill its last one, Extend copies it. A
// page here is one in every layer. Owned by the sequence, on the serving loop's thread.
#ifndef ALCHEMIST_SERVER_SEQUENCE_KV_H_
#define ALCHEMIST_SERVER_SEQUENCE_KV_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "activation_store/store.h"
#include "kernels/attention.h"
#include "model/forward.h"

namespace alchemist {

struct KvGeometry {
  int64_t layers = 0;
  int64_t kv_width = 0;
  DType dtype = DType::kF32;
};

// Copies the rows [first, first + rows) of a page to the same rows of the page at `to`: K [32,
// width], then V.
void CopyKvRows(const KvRun& from, int64_t first, int64_t rows, std::byte* to);

class SequenceKv {
 public:
  SequenceKv(const KvGeometry& geometry, ActivationStore* store);
  ~SequenceKv();  // Gives serving's pages back.
  SequenceKv(const SequenceKv&) = delete;
  SequenceKv& operator=(const SequenceKv&) = delete;

  // The pages of the record's chain hold positions [0, tokens). REQUIRES: called first, once.
  void UseRecord(uint64_t record_id, int64_t tokens);
  // The record is sealed: what lies in its pages is read only.
  void SealRecord();
  // Takes serving pages so that all positions before `tokens` have memory; false and no change when
  // there are not enough.
  bool Extend(int64_t tokens);
  // Gives serving's pages back; the K/V in them is lost, the record's stays.
  void DropServingPages();

  // Positions [0, 32 * pages()) have memory; those after `record_tokens` may be written.
  int64_t pages() const;
  int64_t serving_pages() const { return static_cast<int64_t>(serving_.size()); }
  int64_t record_tokens() const { return record_tokens_; }  // Positions that lie in the record.

  // Per layer, K/V of positions 0 .. at least the last one with memory.
  const std::vector<std::vector<KvRun>>& runs() const { return runs_; }
  // Per layer, memory for the rows of positions [first, first + rows). REQUIRES: they have it, and
  // are not sealed.
  std::vector<std::vector<KvRows>> Rows(int64_t first, int64_t rows) const;

 private:
  void FreeServingPages();
  void SetRecordPages();
  void SetPage(int64_t index, int64_t layer, int64_t offset);
  void CopyRecordRows(int64_t page, const std::vector<KvPage>& to);

  const KvGeometry geometry_;
  ActivationStore* const store_;
  uint64_t record_id_ = 0;
  int64_t record_tokens_ = 0;
  int64_t record_pages_ = 0;                  // Those that are not to be copied.
  bool sealed_ = false;                       // The record is.
  std::vector<std::vector<KvPage>> serving_;  // [page][layer], in the order of their positions.
  std::vector<std::vector<KvRun>> runs_;      // [layer][page]
  std::vector<std::vector<KvRows>> rows_;     // [layer][page]
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SEQUENCE_KV_H_
