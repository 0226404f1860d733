// CallLog: a command of the log thread that its caller waits for.
#ifndef ALCHEMIST_SERVER_LOG_CALL_H_
#define ALCHEMIST_SERVER_LOG_CALL_H_

#include <functional>

#include "base/status.h"
#include "server/feedback_log.h"
#include "server/log_thread.h"

namespace alchemist {

// Returns the status of `work` after its commit. Any thread but the log's own and the serving
// loop's.
absl::Status CallLog(LogThread& log, std::function<absl::Status(FeedbackLog&)> work);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_LOG_CALL_H_
