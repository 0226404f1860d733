// The tables of the feedback log and their version. Called once, when the log is opened.
#ifndef ALCHEMIST_SERVER_LOG_SCHEMA_H_
#define ALCHEMIST_SERVER_LOG_SCHEMA_H_

#include "base/status.h"
#include "server/sqlite_database.h"

namespace alchemist {

// Creates the tables in an empty file. FAILED_PRECONDITION for a file of a newer version or one
// that holds something else; its tables are left alone.
absl::Status EnsureLogSchema(SqliteDatabase* database);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_LOG_SCHEMA_H_
