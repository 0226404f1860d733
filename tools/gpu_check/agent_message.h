// What alchemist-gpu-check and its agents say to each other: one JSON object a packet, with
// descriptors beside it. An agent is a process of the same program that has the device open and
// does what it is asked, one thing at a time; it is what an experiment kills. Any thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_AGENT_MESSAGE_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_AGENT_MESSAGE_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/status.h"

namespace alchemist {

inline constexpr int64_t kAgentMessageBytesMax = 64 << 10;

struct AgentMessage {
  nlohmann::json values = nlohmann::json::object();
  std::vector<FileDescriptor> fds = {};

  // Of a message that this program made. REQUIRES: the value is there and of that type.
  double Number(absl::string_view key) const;
  int64_t Integer(absl::string_view key) const;
  bool Bool(absl::string_view key) const;
  std::string Text(absl::string_view key) const;
  // Empty where it is absent.
  std::vector<double> Numbers(absl::string_view key) const;
};

// Sends `message`; its descriptors stay its own.
absl::Status SendMessage(int socket, const AgentMessage& message);
// Unavailable after `timeout_us`, or at the end of the stream.
absl::StatusOr<AgentMessage> ReceiveMessage(int socket, int64_t timeout_us);

// An error in place of an answer, and back.
AgentMessage ErrorMessage(const absl::Status& status);
absl::Status ErrorOf(const AgentMessage& message);  // OK when it is an answer.

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_AGENT_MESSAGE_H_
