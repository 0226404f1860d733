#include "trainer/drift.h"

#include <limits>
#include <utility>

namespace alchemist {

double Drift::SinceRevision(const std::string& digest) const {
  const auto it = marks_.find(digest);
  return it == marks_.end() ? std::numeric_limits<double>::infinity() : Since(it->second);
}

void Drift::ForgetBeyond(double drift_max) {
  std::erase_if(marks_, [&](const auto& mark) { return Since(mark.second) > drift_max; });
}

Drift Drift::Restore(double path, double adapter_norm, std::map<std::string, double> marks) {
  Drift drift;
  drift.path_ = path;
  drift.adapter_norm_ = adapter_norm;
  drift.marks_ = std::move(marks);
  return drift;
}

}  // namespace alchemist
