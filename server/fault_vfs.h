// FaultVfs: a SQLite file layer over the system's that fails on command, so that tests see what a
// full or broken disk does to the feedback log. It counts syncs and makes none. Test only. Arm,
// Heal and the counters: any thread.
#ifndef ALCHEMIST_SERVER_FAULT_VFS_H_
#define ALCHEMIST_SERVER_FAULT_VFS_H_

#include <sqlite3.h>

#include <cstdint>
#include <string>

#include "base/mutex.h"

namespace alchemist {

enum class DiskFault {
  kNone,
  kFull,           // Writes: no space left.
  kShortWrite,     // Writes leave their first half: no space left.
  kIoError,        // Writes and truncations: an I/O error, or a quota.
  kReadError,      // Reads: an I/O error.
  kSyncError,      // Syncs: an I/O error.
  kNoDescriptors,  // Opening a file: none left.
};

class FaultVfs {
 public:
  explicit FaultVfs(const std::string& name);  // Registers itself under `name`.
  ~FaultVfs();                                 // REQUIRES: no database is open through it.
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  const std::string& name() const { return name_; }

  // Of the calls that `fault` concerns, the `nth` from now (from 1) fails, and then, when
  // `lasting`, every one until Heal.
  void Arm(DiskFault fault, int64_t nth, bool lasting);
  void Heal();

  int64_t faults() const;  // Calls failed since Arm.
  int64_t syncs() const;   // Calls to sync since Arm, failed ones too.

  // For the file layer itself: counts a call, and says what is to go wrong with it.
  enum class Call { kOpen, kRead, kWrite, kTruncate, kSync };
  DiskFault Next(Call call);
  sqlite3_vfs* real() const { return real_; }

 private:
  const std::string name_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;

  mutable Mutex mutex_;  // The test's thread arms, the log's thread fails.
  DiskFault fault_ ABSL_GUARDED_BY(mutex_) = DiskFault::kNone;
  int64_t calls_left_ ABSL_GUARDED_BY(mutex_) = 0;
  bool lasting_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t faults_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t syncs_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_FAULT_VFS_H_
