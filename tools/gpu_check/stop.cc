#include "tools/gpu_check/stop.h"

#include <signal.h>

#include <atomic>

namespace alchemist {
namespace {

std::atomic<int> stop_signal{0};

void Remember(int signal) { stop_signal = signal; }

}  // namespace

void HandleStopSignals() {
  struct sigaction action = {};
  action.sa_handler = Remember;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

int StopSignal() { return stop_signal; }

}  // namespace alchemist
