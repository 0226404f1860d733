// ServerStatus: what the server is doing and has done, for AdminService.GetStatus and /metrics,
// which show the same. Gathered where each piece of state lives.
#ifndef ALCHEMIST_SERVER_SERVER_STATUS_H_
#define ALCHEMIST_SERVER_SERVER_STATUS_H_

#include "base/status.h"
#include "proto/alchemist/v1/admin.pb.h"
#include "server/log_thread.h"
#include "server/serving_loop.h"

namespace alchemist {

// All but what only the log knows. Unavailable while the server stops. Any thread but the loop's.
absl::StatusOr<v1::GetStatusResponse> StatusOfLoop(const BaseId& base, ServingLoop& loop);
// Adds what only the log knows. Any thread but the loop's and the log's.
absl::Status AddStatusOfLog(LogThread& log, v1::GetStatusResponse& status);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SERVER_STATUS_H_
