// SequenceKv: where one running sequence's K/V lies. Prompt pages of a recorded request belong to
// its record; all others are serving's own. A record's last page, when the prompt does not fill it,
// is copied before decoding goes on, so that a sealed page is never written. Owned by the sequence,
// on the serving loop's thread.
#ifndef ALCHEMIST_SERVER_SEQUENCE_KV_H_
#define ALCHEMIST_SERVER_SEQUENCE_KV_H_

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

class SequenceKv {
 public:
  // Serving K/V pages (one per layer each) that a sequence of `tokens_max` positions can need.
  static int64_t PagesNeeded(int64_t tokens_max);

  SequenceKv(const KvGeometry& geometry, ActivationStore* store);
  ~SequenceKv();  // Gives serving's pages back.
  SequenceKv(const SequenceKv&) = delete;
  SequenceKv& operator=(const SequenceKv&) = delete;

  // The record's pages hold positions [0, tokens). REQUIRES: called first, pages appended.
  void UseRecord(uint64_t record_id, int64_t tokens);
  // Serving pages up to `tokens_max` positions; false, and Reset, when there are not enough.
  bool Reserve(int64_t tokens_max);
  // Back to the state after construction: serving's pages are given back.
  void Reset();
  // From here on rows from `tokens` on are written to serving's pages. Uses one of the reserved.
  void LeaveRecord(int64_t tokens);

  // Per layer, K/V of positions 0 .. at least the last one reserved.
  const std::vector<std::vector<KvRun>>& runs() const { return runs_; }
  // Per layer, memory for the rows of positions [first, first + rows).
  std::vector<std::vector<KvRows>> Rows(int64_t first, int64_t rows) const;

 private:
  void SetPage(int64_t index, int64_t layer, int64_t offset);

  const KvGeometry geometry_;
  ActivationStore* const store_;
  std::vector<std::vector<KvPage>> serving_;  // [page][layer], in the order they were taken.
  int64_t spare_ = 0;                         // Of serving_: reserved for LeaveRecord.
  std::vector<std::vector<KvRun>> runs_;      // [layer][page]
  std::vector<std::vector<KvRows>> rows_;     // [layer][page]
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SEQUENCE_KV_H_
