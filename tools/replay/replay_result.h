// What a replay was asked to do, and what came of it. Plain data.
#ifndef ALCHEMIST_TOOLS_REPLAY_REPLAY_RESULT_H_
#define ALCHEMIST_TOOLS_REPLAY_REPLAY_RESULT_H_

#include <cstdint>
#include <string>

#include "tools/replay/replay_plan.h"
#include "tools/replay/replay_summary.h"

namespace alchemist {

struct ReplayOptions {
  std::string server;  // host:port
  std::string trace;   // As the user named it.
  std::string trace_path;
  ReplayScale scale;  // Its request_tokens_max is the server's, and not set here.
  bool per_second_is_set = false;
  int64_t concurrency_max = 0;
  int64_t retries_max = 0;
  int64_t timeout_us = 0;  // Of each request, its retries included.
  std::string session_id;  // Of all requests; "" = none.
  Slo slo;
};

struct ReplayResult {
  std::string model_name;
  int64_t request_tokens_max = 0;  // What the server takes.
  int64_t requests = 0;            // That were to be sent.
  int64_t requests_cut = 0;
  int64_t retries = 0;  // Tries of calls after their first, because the server refused it.
  ReplaySummary summary;
  // Those that were not sent, or were in flight, when it was stopped.
  int64_t unfinished() const { return requests - summary.completed - summary.failed; }
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_REPLAY_RESULT_H_
