// LeaseTable: the owner's private list of what the trainer may read. A lease ends by release of all
// its layers or by the end of its session, never by time. Owned by ActivationStore, on its thread.
#ifndef ALCHEMIST_ACTIVATION_STORE_LEASE_TABLE_H_
#define ALCHEMIST_ACTIVATION_STORE_LEASE_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace alchemist {

class LeaseTable {
 public:
  // A new id, never reused, for layers [0, layers) of `record_id`.
  uint64_t Add(uint64_t record_id, uint64_t session_epoch, int64_t layers);

  // Releases layers of a lease. Returns the record when the whole lease ended by this call. Unknown
  // ids, another session's leases and released layers change nothing; ranges are cut to the
  // lease's.
  std::optional<uint64_t> Release(uint64_t session_epoch, uint64_t lease_id, int64_t first_layer,
                                  int64_t layers);

  // Ends all leases of a session; returns their records, one entry per lease.
  std::vector<uint64_t> EndSession(uint64_t session_epoch);

  bool Holds(uint64_t session_epoch, uint64_t lease_id) const;
  int64_t size() const { return static_cast<int64_t>(leases_.size()); }

 private:
  struct Lease {
    uint64_t record_id = 0;
    uint64_t session_epoch = 0;
    std::vector<bool> held;  // By layer.
    int64_t layers_held = 0;
  };
  std::map<uint64_t, Lease> leases_;
  uint64_t next_lease_id_ = 1;
};

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_LEASE_TABLE_H_
