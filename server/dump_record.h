// DumpRecord: what a record is and what lies in it, for the AdminService. The serving loop only
// pins the record and says where it lies; its bytes are read on the caller's thread.
#ifndef ALCHEMIST_SERVER_DUMP_RECORD_H_
#define ALCHEMIST_SERVER_DUMP_RECORD_H_

#include <functional>
#include <string>

#include "base/status.h"
#include "proto/alchemist/v1/admin.pb.h"
#include "server/serving_loop.h"

namespace alchemist {

// `id` is a record's number or a completion's id. NotFound names it; InvalidArgument when it can be
// neither; FailedPrecondition for a record that is FILLING; Cancelled when `stop` says so. The
// record is pinned meanwhile, and no longer when it returns. Any thread but the loop's.
absl::StatusOr<v1::DumpRecordResponse> DumpRecord(ServingLoop& loop, const std::string& id,
                                                  const std::function<bool()>& stop);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_DUMP_RECORD_H_
