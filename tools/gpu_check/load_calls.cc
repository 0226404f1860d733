#include <algorithm>
#include <deque>
#include <utility>

#include "tools/gpu_check/agent_calls.h"
#include "tools/gpu_check/timing.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int64_t kRepeats = 5;
constexpr uint64_t kUnmappedAddress = 1 << 8;
constexpr uint32_t kSeed = 5;

absl::StatusOr<AgentMessage> Spin(Agent& agent, AgentMessage& request) {
  if (!agent.arena.has_value()) return absl::FailedPreconditionError("it has no arena");
  for (int64_t i = 0; i < request.Integer("count"); ++i) {
    RETURN_IF_ERROR(
        agent.probes->Spin(1000 * request.Integer("ms"), agent.arena->address(), agent.work));
  }
  return AgentMessage();
}

absl::Status QueueRead(Agent& agent) {
  return agent.probes->Read(AddressOf(agent.decode_weights), agent.decode_weights.bytes(),
                            agent.stream);
}

absl::StatusOr<AgentMessage> PrepareDecode(Agent& agent, AgentMessage& request) {
  agent.decode_weights = Buffer();  // Before the next one is there.
  ASSIGN_OR_RETURN(agent.decode_weights, agent.device->Allocate(request.Integer("bytes")));
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["us"],
                   MedianDeviceUs(agent, kRepeats, [&] { return QueueRead(agent); }));
  return answer;
}

// A step is timed as the serving loop sees it: from its first launch to the end of its last kernel.
absl::StatusOr<AgentMessage> DecodeSteps(Agent& agent, AgentMessage& request) {
  std::vector<double> step_us;
  const int64_t end_us = NowUs() + 1000 * request.Integer("ms");
  while (NowUs() < end_us) {
    const int64_t start_us = NowUs();
    for (int64_t i = 0; i < request.Integer("kernels"); ++i) RETURN_IF_ERROR(QueueRead(agent));
    RETURN_IF_ERROR(agent.stream.Synchronize());
    step_us.push_back(static_cast<double>(NowUs() - start_us));
  }
  AgentMessage answer;
  answer.values["steps"] = step_us.size();
  answer.values["p50_us"] = Percentile(step_us, 0.5);
  answer.values["p95_us"] = Percentile(step_us, 0.95);
  answer.values["p99_us"] = Percentile(step_us, 0.99);
  answer.values["max_us"] = Percentile(step_us, 1);
  return answer;
}

absl::Status QueueUnit(Agent& agent) {
  const TrainingUnit& unit = agent.training;
  return agent.probes->Multiply(AddressOf(unit.a), AddressOf(unit.b), AddressOf(unit.c), unit.rows,
                                unit.width, unit.width, agent.stream);
}

absl::StatusOr<AgentMessage> PrepareTraining(Agent& agent, AgentMessage& request) {
  TrainingUnit unit;
  unit.rows = static_cast<int>(request.Integer("rows"));
  unit.width = static_cast<int>(request.Integer("width"));
  const int64_t rows = unit.rows;
  const int64_t width = unit.width;
  ASSIGN_OR_RETURN(unit.a, RandomBf16(agent, rows * width, kSeed));
  ASSIGN_OR_RETURN(unit.b, RandomBf16(agent, width * width, kSeed));
  ASSIGN_OR_RETURN(unit.c, agent.device->Allocate(4 * rows * width));
  agent.training = std::move(unit);
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["us"],
                   MedianDeviceUs(agent, kRepeats, [&] { return QueueUnit(agent); }));
  return answer;
}

// Never more than `queued_max` units in the queue: each is followed by an event, and the oldest one
// is waited for before the next unit goes in. Returns how many ended within the window.
absl::StatusOr<int64_t> RunUnits(Agent& agent, int64_t queued_max, int64_t end_us) {
  std::deque<CudaEvent> queued;
  int64_t done = 0;
  while (NowUs() < end_us) {
    if (static_cast<int64_t>(queued.size()) == queued_max) {
      RETURN_IF_ERROR(queued.front().Wait());
      queued.pop_front();
      ++done;
    }
    RETURN_IF_ERROR(QueueUnit(agent));
    ASSIGN_OR_RETURN(CudaEvent event, CudaEvent::Create(agent.device.get()));
    RETURN_IF_ERROR(agent.stream.Record(event));
    queued.push_back(std::move(event));
  }
  RETURN_IF_ERROR(agent.stream.Synchronize());
  return done;
}

absl::StatusOr<AgentMessage> Training(Agent& agent, AgentMessage& request) {
  const int64_t end_us = NowUs() + 1000 * request.Integer("ms");
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["units"],
                   RunUnits(agent, request.Integer("queued_units"), end_us));
  return answer;
}

absl::StatusOr<AgentMessage> Fault(Agent& agent, AgentMessage& /*request*/) {
  RETURN_IF_ERROR(agent.probes->StoreWord(kUnmappedAddress, 1, agent.work));
  RETURN_IF_ERROR(agent.work.Synchronize());
  return AgentMessage();
}

}  // namespace

AgentCalls LoadCalls() {
  return {{"spin", Spin},
          {"prepare_decode", PrepareDecode},
          {"decode_steps", DecodeSteps},
          {"prepare_training", PrepareTraining},
          {"training", Training},
          {"fault", Fault}};
}

}  // namespace alchemist
