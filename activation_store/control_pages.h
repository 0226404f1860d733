// The two pages through which the daemons see each other without a call (DESIGN.md section 8). Each
// has one writer; all words are lock-free atomics. Sizes and offsets are part of the attach
// protocol: kAttachVersion changes with them.
#ifndef ALCHEMIST_ACTIVATION_STORE_CONTROL_PAGES_H_
#define ALCHEMIST_ACTIVATION_STORE_CONTROL_PAGES_H_

#include <atomic>
#include <cstdint>

namespace alchemist {

enum class YieldWord : uint32_t {
  kGoOn = 0,
  kYield = 1,     // Serving is computing: wait a little before the next tile.
  kHandBack = 2,  // Later: release what is leased.
};

// Written by the server, mapped read-only by the trainer.
struct ServerPage {
  std::atomic<uint64_t> store_epoch;
  std::atomic<uint64_t> session_epoch;
  std::atomic<uint32_t> yield;     // YieldWord
  std::atomic<uint32_t> pressure;  // 0 .. 100
  std::atomic<uint64_t> revoke;    // Counts revocations; read after each claim. None are made yet.
};
static_assert(sizeof(ServerPage) <= 4096);

// Written by the trainer, mapped read-only by the server, which trusts nothing in it.
struct TrainerPage {
  std::atomic<uint64_t> heartbeat;      // Grows every kHeartbeatUs.
  std::atomic<uint64_t> claimed_layer;  // 1 + the layer being read; 0: none. Not written yet.
  std::atomic<uint64_t> revoke_acknowledged;
};
static_assert(sizeof(TrainerPage) <= 4096);

static_assert(std::atomic<uint64_t>::is_always_lock_free);

inline constexpr int64_t kControlPageBytes = 4096;
inline constexpr int64_t kHeartbeatUs = 250'000;
inline constexpr int64_t kHeartbeatsMissedMax = 3;
inline constexpr int64_t kExitGraceUs = 3'000'000;  // End of stream without Goodbye -> force.

}  // namespace alchemist

#endif  // ALCHEMIST_ACTIVATION_STORE_CONTROL_PAGES_H_
