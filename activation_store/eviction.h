// Which record is given up first. Pure; any thread.
#ifndef ALCHEMIST_ACTIVATION_STORE_EVICTION_H_
#define ALCHEMIST_ACTIVATION_STORE_EVICTION_H_

#include <cstdint>

namespace alchemist {

// What a record was good for so far.
struct RecordUse {
  int64_t used_us = 0;   // When it was made, or its prefix last served again.
  bool trained = false;  // The trainer has read it and let go of it.
};

// The larger, the earlier it is given up. A record has two uses to come: feedback may ask for it,
// and a prompt may go on from it. Both get less likely with its age; one whose feedback was trained
// has only the latter left, and so ages twice as fast.
constexpr int64_t EvictionAgeUs(const RecordUse& use, int64_t now_us) {
  return (now_us - use.used_us) * (use.trained ? 2 : 1);
}

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_EVICTION_H_
