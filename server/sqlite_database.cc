#include "server/sqlite_database.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/logging.h"

namespace alchemist {
namespace {

static_assert(std::endian::native == std::endian::little, "blobs are little-endian");

absl::StatusCode CodeOf(int code) {
  switch (code) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_ROWID:
      return absl::StatusCode::kAlreadyExists;
    default:
      break;
  }
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kFailedPrecondition;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return absl::StatusCode::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

bool IsSyncError(int code) { return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC; }

// The library creates files readable by all; these hold what people wrote.
absl::Status CreatePrivateFile(const std::string& path) {
  FileDescriptor fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  return fd.valid() ? absl::OkStatus() : ErrnoStatus("open", path);
}

int CountWalPages(void* count, sqlite3*, const char*, int pages) {
  *static_cast<int64_t*>(count) = pages;
  return SQLITE_OK;
}

}  // namespace

void Query::Reset::operator()(sqlite3_stmt* statement) const {
  sqlite3_reset(statement);  // Repeats the error of the last Step, which was returned there.
  sqlite3_clear_bindings(statement);
}

void Query::Bound(int code) {
  CHECK_NE(code, SQLITE_RANGE) << sqlite3_sql(statement_.get());
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
}

void Query::BindInt64(int parameter, int64_t value) {
  Bound(sqlite3_bind_int64(statement_.get(), parameter, value));
}

void Query::BindOne(int parameter, double value) {
  Bound(sqlite3_bind_double(statement_.get(), parameter, value));
}

void Query::BindOne(int parameter, absl::string_view text) {
  // A null pointer would bind NULL instead of "".
  const char* data = text.empty() ? "" : text.data();
  Bound(sqlite3_bind_text64(statement_.get(), parameter, data, text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
}

void Query::BindBlob(int parameter, const void* bytes, size_t count) {
  const void* data = count == 0 ? "" : bytes;
  Bound(sqlite3_bind_blob64(statement_.get(), parameter, data, count, SQLITE_TRANSIENT));
}

void Query::BindOne(int parameter, absl::Span<const int32_t> tokens) {
  BindBlob(parameter, tokens.data(), tokens.size() * sizeof(int32_t));
}

void Query::BindOne(int parameter, absl::Span<const float> values) {
  BindBlob(parameter, values.data(), values.size() * sizeof(float));
}

absl::StatusOr<bool> Query::Step() {
  if (database_->stopped()) return database_->StoppedError();
  if (bind_error_ != SQLITE_OK) return database_->Check(bind_error_);
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->Check(code);
}

absl::Status Query::Run() {
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return absl::OkStatus();
  }
}

bool Query::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t Query::Int64(int column) const { return sqlite3_column_int64(statement_.get(), column); }

double Query::Double(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string Query::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(text),
                     sqlite3_column_bytes(statement_.get(), column));
}

template <typename T>
absl::StatusOr<std::vector<T>> Query::Array(int column) const {
  const void* blob = sqlite3_column_blob(statement_.get(), column);
  const size_t bytes = sqlite3_column_bytes(statement_.get(), column);
  if (bytes % sizeof(T) != 0) {
    return absl::DataLossError(
        absl::StrCat(database_->path_, ": column ", sqlite3_column_name(statement_.get(), column),
                     " holds ", bytes, " bytes, no multiple of ", sizeof(T)));
  }
  std::vector<T> values(bytes / sizeof(T));
  if (bytes > 0) std::memcpy(values.data(), blob, bytes);
  return values;
}

absl::StatusOr<std::vector<int32_t>> Query::Tokens(int column) const {
  return Array<int32_t>(column);
}

absl::StatusOr<std::vector<float>> Query::Floats(int column) const { return Array<float>(column); }

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path,
                                                                     const std::string& vfs) {
  LOG_FIRST_N(INFO, 1) << path << ": SQLite " << sqlite3_libversion();
  RETURN_IF_ERROR(CreatePrivateFile(path));
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      vfs.empty() ? nullptr : vfs.c_str());
  if (handle == nullptr) return absl::ResourceExhaustedError(absl::StrCat(path, ": no memory"));
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(path, handle));
  RETURN_IF_ERROR(database->Check(code));
  RETURN_IF_ERROR(database->Configure());
  RETURN_IF_ERROR(database->Checkpoint(Wal::kEmptied));
  return database;
}

SqliteDatabase::SqliteDatabase(std::string path, sqlite3* handle)
    : path_(std::move(path)), handle_(handle) {
  sqlite3_wal_hook(handle_, CountWalPages, &wal_pages_);  // Also ends automatic checkpoints.
}

absl::Status SqliteDatabase::Configure() {
  // Closing would otherwise checkpoint, and sync again a file whose sync has failed.
  RETURN_IF_ERROR(Check(sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr)));
  // The lock mode comes first: entering WAL with it keeps the index in this process's own memory.
  RETURN_IF_ERROR(Execute(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"));
  ASSIGN_OR_RETURN(const std::string mode, QueryText("PRAGMA journal_mode = WAL"));
  if (mode != "wal") {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": journal mode ", mode, ", not wal"));
  }
  return Execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
}

SqliteDatabase::~SqliteDatabase() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  CHECK_EQ(sqlite3_close(handle_), SQLITE_OK) << path_ << ": a query outlives the database";
}

absl::Status SqliteDatabase::Check(int code) {
  if (code == SQLITE_OK) return absl::OkStatus();
  if (IsSyncError(code)) {
    stopped_ = true;
    LOG(ERROR) << path_ << ": fsync failed; nothing is written to it until the next start";
    return StoppedError();
  }
  const std::string message =
      absl::StrCat(path_, ": ", sqlite3_errmsg(handle_), " (SQLite code ", code, ")");
  return absl::Status(CodeOf(code), message);
}

absl::Status SqliteDatabase::StoppedError() const {
  return absl::UnavailableError(
      absl::StrCat(path_, ": stopped by a failed fsync; restart the server"));
}

absl::Status SqliteDatabase::Execute(const char* sql) {
  if (stopped_) return StoppedError();
  return Check(sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr));
}

absl::StatusOr<std::string> SqliteDatabase::QueryText(const char* sql) {
  if (stopped_) return StoppedError();
  sqlite3_stmt* statement = nullptr;
  RETURN_IF_ERROR(Check(sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr)));
  std::string text;
  absl::StatusOr<bool> row = false;
  {
    Query query(this, statement);
    row = query.Step();
    if (row.ok() && *row) text = query.Text(0);
  }
  sqlite3_finalize(statement);
  if (!row.ok()) return row.status();
  return text;
}

absl::StatusOr<Query> SqliteDatabase::Prepare(const char* sql) {
  if (stopped_) return StoppedError();
  if (!in_transaction()) return absl::AbortedError(absl::StrCat(path_, ": no open transaction"));
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    RETURN_IF_ERROR(Check(
        sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr)));
  }
  CHECK(!sqlite3_stmt_busy(statement)) << "prepared while in use: " << sql;
  return Query(this, statement);
}

bool SqliteDatabase::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

bool SqliteDatabase::has_writes() const {
  return sqlite3_txn_state(handle_, "main") == SQLITE_TXN_WRITE;
}

int64_t SqliteDatabase::rows_changed() const { return sqlite3_changes64(handle_); }

absl::Status SqliteDatabase::Checkpoint(Wal after) {
  if (stopped_) return StoppedError();
  const int mode = after == Wal::kReused ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
  RETURN_IF_ERROR(Check(sqlite3_wal_checkpoint_v2(handle_, "main", mode, nullptr, nullptr)));
  wal_pages_ = 0;
  return absl::OkStatus();
}

}  // namespace alchemist
