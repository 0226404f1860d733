#include "activation_store/lease_table.h"

#include <algorithm>

namespace alchemist {

uint64_t LeaseTable::Add(uint64_t record_id, uint64_t session_epoch, int64_t layers) {
  const uint64_t id = next_lease_id_++;
  leases_[id] = {record_id, session_epoch, std::vector<bool>(layers, true), layers};
  return id;
}

std::optional<uint64_t> LeaseTable::Release(uint64_t session_epoch, uint64_t lease_id,
                                            int64_t first_layer, int64_t layers) {
  const auto it = leases_.find(lease_id);
  if (it == leases_.end() || it->second.session_epoch != session_epoch) return std::nullopt;
  Lease& lease = it->second;
  const int64_t count = static_cast<int64_t>(lease.held.size());
  if (first_layer < 0 || first_layer >= count || layers <= 0) return std::nullopt;
  const int64_t end = first_layer + std::min(layers, count - first_layer);
  for (int64_t layer = first_layer; layer < end; ++layer) {
    if (!lease.held[layer]) continue;
    lease.held[layer] = false;
    --lease.layers_held;
  }
  if (lease.layers_held > 0) return std::nullopt;
  const uint64_t record_id = lease.record_id;
  leases_.erase(it);
  return record_id;
}

std::vector<uint64_t> LeaseTable::EndSession(uint64_t session_epoch) {
  std::vector<uint64_t> records;
  for (auto it = leases_.begin(); it != leases_.end();) {
    if (it->second.session_epoch != session_epoch) {
      ++it;
      continue;
    }
    records.push_back(it->second.record_id);
    it = leases_.erase(it);
  }
  return records;
}

bool LeaseTable::Holds(uint64_t session_epoch, uint64_t lease_id) const {
  const auto it = leases_.find(lease_id);
  return it != leases_.end() && it->second.session_epoch == session_epoch;
}

}  // namespace alchemist
