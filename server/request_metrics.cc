#include "server/request_metrics.h"

#include <vector>

namespace alchemist {
namespace {

// https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/, explicit bucket boundaries of
// gen_ai.server.time_to_first_token, .time_per_output_token, .request.duration and
// gen_ai.client.token.usage.
std::vector<double> TimeToFirstTokenBounds() {
  return {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
          0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0};
}

std::vector<double> TimePerOutputTokenBounds() {
  return {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5};
}

std::vector<double> RequestDurationBounds() {
  return {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
}

std::vector<double> TokenBounds() {
  return {1,     4,     16,     64,      256,     1024,     4096,
          16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
}

constexpr double kSecondsPerUs = 1e-6;

}  // namespace

RequestMetrics::RequestMetrics()
    : queue_time(TimeToFirstTokenBounds()),
      time_to_first_token(TimeToFirstTokenBounds()),
      time_per_output_token(TimePerOutputTokenBounds()),
      e2e_request_latency(RequestDurationBounds()),
      prompt_tokens(TokenBounds()),
      generation_tokens(TokenBounds()),
      engine_step(TimeToFirstTokenBounds()) {}

void RequestMetrics::OnQueued(int64_t us) {
  queue_time.Observe(static_cast<double>(us) * kSecondsPerUs);
}

void RequestMetrics::OnFirstToken(int64_t us, int64_t tokens_of_prompt) {
  time_to_first_token.Observe(static_cast<double>(us) * kSecondsPerUs);
  prompt_tokens.Observe(static_cast<double>(tokens_of_prompt));
}

void RequestMetrics::OnEnd(int64_t us, int64_t us_since_first_token, int64_t tokens) {
  e2e_request_latency.Observe(static_cast<double>(us) * kSecondsPerUs);
  generation_tokens.Observe(static_cast<double>(tokens));
  if (tokens < 2) return;
  const double decoded_us = static_cast<double>(us_since_first_token);
  time_per_output_token.Observe(decoded_us * kSecondsPerUs / static_cast<double>(tokens - 1));
}

void RequestMetrics::OnStep(int64_t us) {
  engine_step.Observe(static_cast<double>(us) * kSecondsPerUs);
}

}  // namespace alchemist
