#include "tools/gpu_check/agent.h"

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr int64_t kForeverUs =
    int64_t{3600} * 1'000'000;  // The parent ends the stream long before.

// Stopped or at work, it must not hold the device when nobody is left to end it. (A change of user
// takes this away: it is said again then.)
absl::Status DieWithParent() {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return ErrnoStatus("prctl", "PR_SET_PDEATHSIG");
  return absl::OkStatus();
}

absl::Status BecomeUser(uint32_t user) {
  if (setgroups(0, nullptr) != 0 || setgid(user) != 0 || setuid(user) != 0) {
    return ErrnoStatus("setuid", absl::StrCat("user ", user));
  }
  return DieWithParent();
}

absl::StatusOr<Agent> OpenAgent(const AgentOptions& options) {
  RETURN_IF_ERROR(DieWithParent());
  if (options.user.has_value()) RETURN_IF_ERROR(BecomeUser(*options.user));
  Agent agent;
  agent.library_directories = options.library_directories;
  ASSIGN_OR_RETURN(agent.device, CudaDevice::Open(options.device));
  ASSIGN_OR_RETURN(agent.probes, CudaProbes::Load(agent.device.get()));
  ASSIGN_OR_RETURN(agent.stream, CudaStream::Create(agent.device.get()));
  ASSIGN_OR_RETURN(agent.work, CudaStream::Create(agent.device.get()));
  return agent;
}

absl::StatusOr<AgentMessage> Hello(const Agent& agent) {
  const CudaDeviceInfo& info = agent.device->info();
  AgentMessage hello;
  hello.values = {{"name", info.name},
                  {"uuid", info.uuid},
                  {"driver_version", info.driver_version},
                  {"compute_capability", info.compute_capability},
                  {"memory_bytes", info.memory_bytes},
                  {"multiprocessors", info.multiprocessors},
                  {"l2_bytes", info.l2_bytes},
                  {"copy_engines", info.copy_engines},
                  {"exports_descriptors", info.exports_descriptors},
                  {"is_mps_client", info.is_mps_client}};
  ASSIGN_OR_RETURN(hello.values["bytes_free"], agent.device->BytesFree());
  return hello;
}

AgentMessage Answer(Agent& agent, const AgentCalls& calls, AgentMessage& request) {
  const auto call = calls.find(request.Text("do"));
  if (call == calls.end()) {
    return ErrorMessage(absl::UnimplementedError("an agent cannot do that"));
  }
  absl::StatusOr<AgentMessage> answer = call->second(agent, request);
  return answer.ok() ? *std::move(answer) : ErrorMessage(answer.status());
}

}  // namespace

int RunAgent(int socket, const AgentOptions& options, const AgentCalls& calls) {
  absl::StatusOr<Agent> agent = OpenAgent(options);
  absl::StatusOr<AgentMessage> hello =
      agent.ok() ? Hello(*agent) : absl::StatusOr<AgentMessage>(agent.status());
  if (!hello.ok()) {
    // The parent says why; if it is gone, nobody wants to know.
    return SendMessage(socket, ErrorMessage(hello.status())).ok() ? 1 : 0;
  }
  if (!SendMessage(socket, *hello).ok()) return 0;
  while (true) {
    absl::StatusOr<AgentMessage> request = ReceiveMessage(socket, kForeverUs);
    if (!request.ok()) return 0;  // The parent is done, or gone.
    if (!SendMessage(socket, Answer(*agent, calls, *request)).ok()) return 0;
  }
}

}  // namespace alchemist
