#include "server/command_queue.h"

#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "base/logging.h"
#include "server/retry_pushback.h"

namespace alchemist {
namespace {

constexpr int64_t kPostTimeoutUs = 5'000'000;
constexpr int64_t kTryAgainMs = 1'000;

}  // namespace

absl::Status CommandQueue::WhyNotPosted() const {
  return absl::UnavailableError(closed() ? "the server is stopping"
                                         : "the serving loop does not keep up");
}

absl::Status CommandQueue::Post(Command command) {
  if (commands_.Push(std::move(command), kPostTimeoutUs)) return absl::OkStatus();
  return WhyNotPosted();
}

absl::Status CommandQueue::TryPost(Command command) {
  if (commands_.TryPush(std::move(command))) return absl::OkStatus();
  if (closed()) return WhyNotPosted();
  return WithRetryPushback(absl::ResourceExhaustedError("the serving loop does not keep up"),
                           kTryAgainMs);
}

void CommandQueue::PostInternal(Command command) {
  CHECK(internal_.TryPush(std::move(command))) << "a million commands of the server's own threads";
  commands_.TryPush([] {});  // Wakes the loop; when the queue is full it is awake.
}

absl::Status CommandQueue::Call(std::function<absl::Status()> command) {
  auto result = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> answer = result->get_future();
  RETURN_IF_ERROR(Post([command = std::move(command), result] { result->set_value(command()); }));
  return answer.get();  // The loop drains the queue before it ends: every command is answered.
}

void CommandQueue::Close() { commands_.Close(); }

bool CommandQueue::Run() {
  for (int64_t i = 0; i < kCommandsMax; ++i) {
    // Looked at again after every other command: that may be what was to wake the loop for one.
    std::optional<Command> command = internal_.TryPop();
    if (!command.has_value()) command = commands_.TryPop();
    if (!command.has_value()) return false;
    (*command)();
  }
  return true;
}

void CommandQueue::Drain() {
  while (Run()) {
  }
}

void CommandQueue::WaitAndRun(int64_t timeout_us) {
  if (std::optional<Command> command = commands_.Pop(timeout_us)) (*command)();
}

}  // namespace alchemist
