// SqliteDatabase: one SQLite connection to one file, for data that must survive. Owned by
// FeedbackLog; one thread at a time. What it adds to the library:
//  - The file is locked for this connection alone. A second process is refused, and neither a
//    shared-memory file nor a mapping exists (RELIABILITY.md section 3).
//  - Write-ahead log with synchronous=FULL: what a successful COMMIT holds has been synced.
//  - Checkpoints are made only by Checkpoint(). The library's automatic ones hide their errors.
//  - A failed fsync stops the connection for good: Linux may drop the dirty pages and report
//  success
//    for the next fsync, so that only a new start, which reads the file again, knows what is there.
#ifndef ALCHEMIST_SERVER_SQLITE_DATABASE_H_
#define ALCHEMIST_SERVER_SQLITE_DATABASE_H_

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace alchemist {

class SqliteDatabase;

// One execution of a prepared statement. Ends, and can be prepared again, when it is destroyed.
class Query {
 public:
  // Binds `values` to the parameters ?1, ?2, ... in order. They are copied.
  template <typename... Values>
  Query& Bind(const Values&... values) {
    int parameter = 0;
    (BindOne(++parameter, values), ...);
    return *this;
  }

  absl::StatusOr<bool> Step();  // True when it stands on a row, false at the end.
  absl::Status Run();           // Steps to the end, past any rows.

  // Columns of the row, from 0. REQUIRES: Step() returned true.
  bool IsNull(int column) const;
  int64_t Int64(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;
  // Values stored by Bind of a span. DATA_LOSS when the column holds no whole number of them.
  absl::StatusOr<std::vector<int32_t>> Tokens(int column) const;
  absl::StatusOr<std::vector<float>> Floats(int column) const;

 private:
  friend class SqliteDatabase;
  struct Reset {
    void operator()(sqlite3_stmt* statement) const;
  };
  Query(SqliteDatabase* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  void BindOne(int parameter, std::integral auto value) {
    BindInt64(parameter, static_cast<int64_t>(value));
  }
  void BindOne(int parameter, double value);
  void BindOne(int parameter, absl::string_view text);
  void BindOne(int parameter, absl::Span<const int32_t> tokens);
  void BindOne(int parameter, absl::Span<const float> values);
  void BindInt64(int parameter, int64_t value);
  void BindBlob(int parameter, const void* bytes, size_t count);
  void Bound(int code);
  template <typename T>
  absl::StatusOr<std::vector<T>> Array(int column) const;

  SqliteDatabase* database_;
  std::unique_ptr<sqlite3_stmt, Reset> statement_;  // Owned by the database; only reset here.
  int bind_error_ = 0;
};

class SqliteDatabase {
 public:
  // Opens or creates the file `path`. `vfs` names the library's file layer; "" is the default one.
  // Whatever the file's write-ahead log holds is moved into the file and synced before this
  // returns: a row that a crashed process wrote but could not sync is durable before it is read.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path,
                                                              const std::string& vfs);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  // Runs statements that return nothing of interest.
  absl::Status Execute(const char* sql);
  // The first column of the first row of a statement used once, e.g. a PRAGMA.
  absl::StatusOr<std::string> QueryText(const char* sql);
  // A statement prepared once and kept; `sql` must be a literal. ABORTED outside a transaction, so
  // that work which goes on after the library gave its transaction up cannot write the second half.
  absl::StatusOr<Query> Prepare(const char* sql);

  bool in_transaction() const;
  bool has_writes() const;       // The open transaction wrote something.
  int64_t rows_changed() const;  // By the last statement that ran.

  // What a checkpoint leaves of the write-ahead log: its bytes, to be written over from the start
  // (a sync is cheaper when the file does not grow), or an empty file.
  enum class Wal { kReused, kEmptied };
  // Moves the write-ahead log into the file and syncs it. REQUIRES: no open transaction.
  absl::Status Checkpoint(Wal after);
  int64_t wal_pages() const { return wal_pages_; }  // Written to it since the last checkpoint.

  bool stopped() const { return stopped_; }  // An fsync failed: all calls answer UNAVAILABLE.

 private:
  friend class Query;
  SqliteDatabase(std::string path, sqlite3* handle);
  absl::Status Configure();
  absl::Status StoppedError() const;
  absl::Status Check(int code);  // OK for success, else the library's last error as a Status.

  const std::string path_;
  sqlite3* const handle_;
  // Keyed by the literal's address.
  absl::flat_hash_map<const char*, sqlite3_stmt*> statements_;
  int64_t wal_pages_ = 0;
  bool stopped_ = false;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SQLITE_DATABASE_H_
