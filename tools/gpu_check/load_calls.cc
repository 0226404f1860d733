#include <algorithm>
#include <deque>
#include <utility>

#include "tools/gpu_check/agent_calls.h"
#include "tools/gpu_check/timing.h"
#include "tools/quickstart/percentile.h"

namespace alchemist {
namespace {

constexpr int kWarmUps = 3;
constexpr int kRepeats = 10;
constexpr uint64_t kUnmappedAddress = 1 << 8;

absl::StatusOr<AgentMessage> Spin(Agent& agent, AgentMessage& request) {
  if (!agent.arena.has_value()) return absl::FailedPreconditionError("it has no arena");
  for (int64_t i = 0; i < request.Integer("count"); ++i) {
    RETURN_IF_ERROR(
        agent.probes->Spin(1000 * request.Integer("ms"), agent.arena->address(), agent.work));
  }
  return AgentMessage();
}

absl::StatusOr<AgentMessage> Drain(Agent& agent, AgentMessage& /*request*/) {
  const int64_t start_us = NowUs();
  RETURN_IF_ERROR(agent.work.Synchronize());
  AgentMessage answer;
  answer.values["us"] = NowUs() - start_us;
  return answer;
}

absl::StatusOr<AgentMessage> ReadUs(Agent& agent, AgentMessage& request) {
  const int64_t bytes = request.Integer("bytes");
  ASSIGN_OR_RETURN(const Buffer buffer, agent.device->Allocate(bytes));
  const auto read = [&] { return agent.probes->Read(AddressOf(buffer), bytes, agent.stream); };
  RETURN_IF_ERROR(DeviceUsPerCall(agent, kWarmUps, read).status());
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["us"], DeviceUsPerCall(agent, kRepeats, read));
  return answer;
}

// A step is timed as the serving loop sees it: from its first launch to the end of its last kernel.
absl::StatusOr<AgentMessage> DecodeSteps(Agent& agent, AgentMessage& request) {
  const int64_t bytes = request.Integer("bytes");
  ASSIGN_OR_RETURN(const Buffer buffer, agent.device->Allocate(bytes));
  std::vector<double> step_us;
  const int64_t end_us = NowUs() + 1000 * request.Integer("ms");
  while (NowUs() < end_us) {
    const int64_t start_us = NowUs();
    for (int64_t i = 0; i < request.Integer("kernels"); ++i) {
      RETURN_IF_ERROR(agent.probes->Read(AddressOf(buffer), bytes, agent.stream));
    }
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

// One unit of training-like work: c [rows, width] = a [rows, width] * b [width, width]^T.
struct Unit {
  int rows = 0;
  int width = 0;
  Buffer a;
  Buffer b;
  Buffer c;
};

absl::StatusOr<Unit> MakeUnit(Agent& agent, const AgentMessage& request) {
  Unit unit;
  unit.rows = static_cast<int>(request.Integer("rows"));
  unit.width = static_cast<int>(request.Integer("width"));
  const int64_t rows = unit.rows;
  const int64_t width = unit.width;
  ASSIGN_OR_RETURN(unit.a, agent.device->Allocate(2 * rows * width));
  ASSIGN_OR_RETURN(unit.b, agent.device->Allocate(2 * width * width));
  ASSIGN_OR_RETURN(unit.c, agent.device->Allocate(4 * rows * width));
  return unit;
}

absl::Status QueueUnit(Agent& agent, const Unit& unit) {
  return agent.probes->Multiply(AddressOf(unit.a), AddressOf(unit.b), AddressOf(unit.c), unit.rows,
                                unit.width, unit.width, agent.stream);
}

// Never more than the grant in the queue: each unit is followed by an event, and the oldest one is
// waited for before the next unit goes in.
absl::StatusOr<int64_t> RunUnits(Agent& agent, const Unit& unit, int64_t queued_max,
                                 int64_t end_us) {
  std::deque<CudaEvent> queued;
  int64_t done = 0;
  while (NowUs() < end_us) {
    if (static_cast<int64_t>(queued.size()) == queued_max) {
      RETURN_IF_ERROR(queued.front().Wait());
      queued.pop_front();
      ++done;
    }
    RETURN_IF_ERROR(QueueUnit(agent, unit));
    ASSIGN_OR_RETURN(CudaEvent event, CudaEvent::Create(agent.device.get()));
    RETURN_IF_ERROR(agent.stream.Record(event));
    queued.push_back(std::move(event));
  }
  RETURN_IF_ERROR(agent.stream.Synchronize());
  return done;  // Those that ended within the window.
}

absl::StatusOr<AgentMessage> Training(Agent& agent, AgentMessage& request) {
  ASSIGN_OR_RETURN(const Unit unit, MakeUnit(agent, request));
  const double unit_us = request.Number("unit_us");
  const int64_t queued_max =
      std::max<int64_t>(1, static_cast<int64_t>(request.Number("queued_us") / unit_us));
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["units"],
                   RunUnits(agent, unit, queued_max, NowUs() + 1000 * request.Integer("ms")));
  return answer;
}

absl::StatusOr<AgentMessage> UnitUs(Agent& agent, AgentMessage& request) {
  ASSIGN_OR_RETURN(const Unit unit, MakeUnit(agent, request));
  const auto queue = [&] { return QueueUnit(agent, unit); };
  RETURN_IF_ERROR(DeviceUsPerCall(agent, kWarmUps, queue).status());
  AgentMessage answer;
  ASSIGN_OR_RETURN(answer.values["us"], DeviceUsPerCall(agent, kRepeats, queue));
  return answer;
}

absl::StatusOr<AgentMessage> Fault(Agent& agent, AgentMessage& /*request*/) {
  RETURN_IF_ERROR(agent.probes->StoreWord(kUnmappedAddress, 1, agent.work));
  RETURN_IF_ERROR(agent.work.Synchronize());
  return AgentMessage();
}

}  // namespace

AgentCalls LoadCalls() {
  return {{"spin", Spin},      {"drain", Drain},
          {"read_us", ReadUs}, {"decode_steps", DecodeSteps},
          {"unit_us", UnitUs}, {"training", Training},
          {"fault", Fault}};
}

}  // namespace alchemist
