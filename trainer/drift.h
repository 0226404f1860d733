// Drift: how far the current adapter has moved from an earlier revision of itself: the sum of the
// Frobenius norms of the updates in between, over the current norm of all A and B (DESIGN.md
// section 15, item 5). Owned by the trainer's loop. Stored in checkpoints.
#ifndef ALCHEMIST_TRAINER_DRIFT_H_
#define ALCHEMIST_TRAINER_DRIFT_H_

#include <cstdint>
#include <map>
#include <string>

namespace alchemist {

class Drift {
 public:
  // An update of this norm was applied; the adapter's norm is now `adapter_norm`.
  void OnUpdate(double update_norm, double adapter_norm) {
    path_ += update_norm;
    adapter_norm_ = adapter_norm;
  }
  // The adapter as it is now is known by this digest from here on.
  void Mark(const std::string& digest) { marks_[digest] = path_; }
  double path() const { return path_; }

  double Since(double path) const { return adapter_norm_ > 0 ? (path_ - path) / adapter_norm_ : 0; }
  // Infinity for a revision that is not on this adapter's path.
  double SinceRevision(const std::string& digest) const;

  // Forgets marks that are more than `drift_max` behind: they are never used again.
  void ForgetBeyond(double drift_max);

  double adapter_norm() const { return adapter_norm_; }
  const std::map<std::string, double>& marks() const { return marks_; }
  static Drift Restore(double path, double adapter_norm, std::map<std::string, double> marks);

 private:
  double path_ = 0;
  double adapter_norm_ = 0;
  std::map<std::string, double> marks_;  // By adapter digest: the path there.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_DRIFT_H_
