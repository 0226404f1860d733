#include "server/log_call.h"

#include <future>
#include <memory>
#include <utility>

namespace alchemist {

absl::Status CallLog(LogThread& log, std::function<absl::Status(FeedbackLog&)> work) {
  auto result = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> answer = result->get_future();
  RETURN_IF_ERROR(log.Post(
      std::move(work), [result](absl::Status status) { result->set_value(std::move(status)); }));
  return answer.get();  // The log answers everything it accepted, also while it stops.
}

}  // namespace alchemist
