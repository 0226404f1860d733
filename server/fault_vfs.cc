#include "server/fault_vfs.h"

#include "base/logging.h"

namespace alchemist {
namespace {

// SQLite allocates szOsFile bytes: this, and behind it the real layer's file.
struct FaultFile {
  sqlite3_file base;
  FaultVfs* vfs;
  sqlite3_file* real;
};

FaultVfs* Vfs(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file)->vfs; }
sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file)->real; }

bool Concerns(DiskFault fault, FaultVfs::Call call) {
  switch (fault) {
    case DiskFault::kNone:
      return false;
    case DiskFault::kFull:
    case DiskFault::kShortWrite:
      return call == FaultVfs::Call::kWrite;
    case DiskFault::kIoError:
      return call == FaultVfs::Call::kWrite || call == FaultVfs::Call::kTruncate;
    case DiskFault::kReadError:
      return call == FaultVfs::Call::kRead;
    case DiskFault::kSyncError:
      return call == FaultVfs::Call::kSync;
    case DiskFault::kNoDescriptors:
      return call == FaultVfs::Call::kOpen;
  }
  return false;
}

int Close(sqlite3_file* file) { return Real(file)->pMethods->xClose(Real(file)); }

int Read(sqlite3_file* file, void* data, int bytes, sqlite3_int64 offset) {
  if (Vfs(file)->Next(FaultVfs::Call::kRead) != DiskFault::kNone) return SQLITE_IOERR_READ;
  return Real(file)->pMethods->xRead(Real(file), data, bytes, offset);
}

int Write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  switch (Vfs(file)->Next(FaultVfs::Call::kWrite)) {
    case DiskFault::kNone:
      return Real(file)->pMethods->xWrite(Real(file), data, bytes, offset);
    case DiskFault::kFull:
      return SQLITE_FULL;
    case DiskFault::kShortWrite: {
      const int code = Real(file)->pMethods->xWrite(Real(file), data, bytes / 2, offset);
      return code == SQLITE_OK ? SQLITE_FULL : code;
    }
    default:
      return SQLITE_IOERR_WRITE;
  }
}

int Truncate(sqlite3_file* file, sqlite3_int64 bytes) {
  if (Vfs(file)->Next(FaultVfs::Call::kTruncate) != DiskFault::kNone) return SQLITE_IOERR_TRUNCATE;
  return Real(file)->pMethods->xTruncate(Real(file), bytes);
}

int Sync(sqlite3_file* file, int) {
  // No test cuts the power, and a thousand real syncs would take longer than the rest of them.
  return Vfs(file)->Next(FaultVfs::Call::kSync) == DiskFault::kNone ? SQLITE_OK
                                                                    : SQLITE_IOERR_FSYNC;
}

int FileSize(sqlite3_file* file, sqlite3_int64* bytes) {
  return Real(file)->pMethods->xFileSize(Real(file), bytes);
}

int Lock(sqlite3_file* file, int level) { return Real(file)->pMethods->xLock(Real(file), level); }

int Unlock(sqlite3_file* file, int level) {
  return Real(file)->pMethods->xUnlock(Real(file), level);
}

int CheckReservedLock(sqlite3_file* file, int* reserved) {
  return Real(file)->pMethods->xCheckReservedLock(Real(file), reserved);
}

int FileControl(sqlite3_file* file, int operation, void* argument) {
  return Real(file)->pMethods->xFileControl(Real(file), operation, argument);
}

int SectorSize(sqlite3_file* file) { return Real(file)->pMethods->xSectorSize(Real(file)); }

int DeviceCharacteristics(sqlite3_file* file) {
  return Real(file)->pMethods->xDeviceCharacteristics(Real(file));
}

// Version 1: no shared memory and no mapping, neither of which the log uses.
sqlite3_io_methods Methods() {
  sqlite3_io_methods methods = {};
  methods.iVersion = 1;
  methods.xClose = Close;
  methods.xRead = Read;
  methods.xWrite = Write;
  methods.xTruncate = Truncate;
  methods.xSync = Sync;
  methods.xFileSize = FileSize;
  methods.xLock = Lock;
  methods.xUnlock = Unlock;
  methods.xCheckReservedLock = CheckReservedLock;
  methods.xFileControl = FileControl;
  methods.xSectorSize = SectorSize;
  methods.xDeviceCharacteristics = DeviceCharacteristics;
  return methods;
}

int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* flags_out) {
  static const sqlite3_io_methods methods = Methods();
  FaultVfs* const faults = static_cast<FaultVfs*>(vfs->pAppData);
  FaultFile* const fault_file = reinterpret_cast<FaultFile*>(file);
  fault_file->base.pMethods = nullptr;  // Says that there is nothing to close.
  if (faults->Next(FaultVfs::Call::kOpen) != DiskFault::kNone) return SQLITE_CANTOPEN;
  fault_file->vfs = faults;
  fault_file->real = reinterpret_cast<sqlite3_file*>(fault_file + 1);
  const int code = faults->real()->xOpen(faults->real(), path, fault_file->real, flags, flags_out);
  if (fault_file->real->pMethods != nullptr) fault_file->base.pMethods = &methods;
  return code;
}

}  // namespace

FaultVfs::FaultVfs(const std::string& name)
    : name_(name), real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  // The system layer's other calls do not look at the sqlite3_vfs they are given.
  vfs_.szOsFile = static_cast<int>(sizeof(FaultFile)) + real_->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = Open;
  CHECK_EQ(sqlite3_vfs_register(&vfs_, /*makeDflt=*/0), SQLITE_OK);
}

FaultVfs::~FaultVfs() { CHECK_EQ(sqlite3_vfs_unregister(&vfs_), SQLITE_OK); }

void FaultVfs::Arm(DiskFault fault, int64_t nth, bool lasting) {
  MutexLock lock(&mutex_);
  fault_ = fault;
  calls_left_ = nth;
  lasting_ = lasting;
  faults_ = 0;
  syncs_ = 0;
}

void FaultVfs::Heal() {
  MutexLock lock(&mutex_);
  fault_ = DiskFault::kNone;
}

DiskFault FaultVfs::Next(Call call) {
  MutexLock lock(&mutex_);
  if (call == Call::kSync) ++syncs_;
  if (!Concerns(fault_, call)) return DiskFault::kNone;
  if (calls_left_ > 0) --calls_left_;
  if (calls_left_ > 0 || (faults_ > 0 && !lasting_)) return DiskFault::kNone;
  ++faults_;
  return fault_;
}

int64_t FaultVfs::faults() const {
  MutexLock lock(&mutex_);
  return faults_;
}

int64_t FaultVfs::syncs() const {
  MutexLock lock(&mutex_);
  return syncs_;
}

}  // namespace alchemist
