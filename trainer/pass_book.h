// PassBook: how many passes each feedback has had in the lineage of the weights. Part of the
// checkpoint, whose truth it is: a feedback is admitted once and its passes never exceed the limit.
// What is done is forgotten once the server has settled it, and so never sends it again: the book,
// checkpoint and hello do not grow with all feedback ever given. Owned by the trainer's loop.
#ifndef ALCHEMIST_TRAINER_PASS_BOOK_H_
#define ALCHEMIST_TRAINER_PASS_BOOK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace alchemist {

struct PassCount {
  int64_t passes = 0;
  bool done = false;         // No further pass will be made.
  bool quarantined = false;  // Done because its own gradient was not finite.
};

class PassBook {
 public:
  PassCount Get(const std::string& feedback_id) const {
    const auto it = counts_.find(feedback_id);
    return it == counts_.end() ? PassCount() : it->second;
  }
  void Set(const std::string& feedback_id, PassCount count) {
    counts_[feedback_id] = count;
    changed_[feedback_id] = count;
  }
  // The server has settled these.
  void Forget(const std::vector<std::string>& feedback_ids) {
    for (const std::string& id : feedback_ids) counts_.erase(id);
  }
  const std::map<std::string, PassCount>& counts() const { return counts_; }
  // What changed since the last call.
  std::map<std::string, PassCount> TakeChanged() {
    std::map<std::string, PassCount> changed;
    changed.swap(changed_);
    return changed;
  }

 private:
  std::map<std::string, PassCount> counts_;
  std::map<std::string, PassCount> changed_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_PASS_BOOK_H_
