#include "tools/gpu_check/agent_message.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/packet.h"

namespace alchemist {
namespace {

constexpr char kErrorKey[] = "error";
constexpr char kCodeKey[] = "code";

const nlohmann::json& ValueOf(const nlohmann::json& values, absl::string_view key) {
  const auto found = values.find(std::string(key));
  CHECK(found != values.end()) << "an agent's message has no " << key << ": " << values.dump();
  return *found;
}

}  // namespace

double AgentMessage::Number(absl::string_view key) const {
  return ValueOf(values, key).get<double>();
}

int64_t AgentMessage::Integer(absl::string_view key) const {
  return ValueOf(values, key).get<int64_t>();
}

bool AgentMessage::Bool(absl::string_view key) const { return ValueOf(values, key).get<bool>(); }

std::string AgentMessage::Text(absl::string_view key) const {
  return ValueOf(values, key).get<std::string>();
}

std::vector<double> AgentMessage::Numbers(absl::string_view key) const {
  const auto found = values.find(std::string(key));
  return found == values.end() ? std::vector<double>() : found->get<std::vector<double>>();
}

absl::Status SendMessage(int socket, const AgentMessage& message) {
  const std::string text =
      message.values.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  CHECK_LE(static_cast<int64_t>(text.size()), kAgentMessageBytesMax);
  std::vector<int> fds;
  for (const FileDescriptor& fd : message.fds) fds.push_back(fd.get());
  return SendPacket(
      socket, absl::MakeSpan(reinterpret_cast<const std::byte*>(text.data()), text.size()), fds);
}

absl::StatusOr<AgentMessage> ReceiveMessage(int socket, int64_t timeout_us) {
  ASSIGN_OR_RETURN(Packet packet,
                   ReceivePacket(socket, kAgentMessageBytesMax, kPacketDescriptorsMax, timeout_us));
  const absl::string_view text(reinterpret_cast<const char*>(packet.bytes.data()),
                               packet.bytes.size());
  AgentMessage message;
  ASSIGN_OR_RETURN(message.values, ParseJson(text, "agent message"));
  message.fds = std::move(packet.fds);
  return message;
}

AgentMessage ErrorMessage(const absl::Status& status) {
  AgentMessage message;
  message.values[kErrorKey] = std::string(status.message());
  message.values[kCodeKey] = static_cast<int>(status.code());
  return message;
}

absl::Status ErrorOf(const AgentMessage& message) {
  if (!message.values.contains(kErrorKey)) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(message.Integer(kCodeKey)),
                      message.Text(kErrorKey));
}

}  // namespace alchemist
