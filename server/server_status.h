// ServerStatus: what the server is doing and has done, for AdminService.GetStatus and /metrics,
// which show the same. Gathered where each piece of state lives.
#ifndef ALCHEMIST_SERVER_SERVER_STATUS_H_
#define ALCHEMIST_SERVER_SERVER_STATUS_H_

#include "base/status.h"
#include "proto/alchemist/v1/admin.pb.h"
#include "server/log_thread.h"
#include "server/serving_loop.h"

namespace alchemist {

// Unavailable while the server stops. A log that does not answer leaves out what only it knows.
// Any thread but the loop's and the log's.
absl::StatusOr<v1::GetStatusResponse> ServerStatus(const BaseId& base, ServingLoop& loop,
                                                   LogThread& log);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SERVER_STATUS_H_
