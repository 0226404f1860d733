// RequestMetrics: how long requests took and how large they were, since the start. Times are in
// seconds, from when Batcher had accepted the request; buckets are those of OpenTelemetry's
// conventions for servers of generative models. Owned by Batcher, on the serving loop's thread.
#ifndef ALCHEMIST_SERVER_REQUEST_METRICS_H_
#define ALCHEMIST_SERVER_REQUEST_METRICS_H_

#include <cstdint>

#include "server/histogram.h"

namespace alchemist {

struct RequestMetrics {
  RequestMetrics();

  // The step with a request's first row began `us` after it came.
  void OnQueued(int64_t us);
  // The first token of a choice was made `us` after its request came.
  void OnFirstToken(int64_t us, int64_t tokens_of_prompt);
  // A choice ended by itself: `us` after its request came, and `us_since_first_token`.
  void OnEnd(int64_t us, int64_t us_since_first_token, int64_t tokens);
  void OnStep(int64_t us);  // An engine step took so long.

  Histogram queue_time;             // To the step with the request's first row.
  Histogram time_to_first_token;    // Of each choice.
  Histogram time_per_output_token;  // Of a choice with two tokens or more: after the first.
  Histogram e2e_request_latency;    // Of a choice that ended by itself.
  Histogram prompt_tokens;          // Of each choice whose first token was made.
  Histogram generation_tokens;      // Of a choice that ended by itself.
  Histogram engine_step;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_REQUEST_METRICS_H_
