#!/bin/bash
# Runs a test ("$@") with the options of the sanitizers; .bazelrc puts it before each test. The
# options are in the environment, so that they also hold for the daemons that a test starts.
set -euo pipefail
here="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"
export TSAN_OPTIONS="suppressions=$here/tsan.supp"
export UBSAN_OPTIONS="print_stacktrace=1"
# GCC 12's ThreadSanitizer refuses the address layout that newer kernels choose at random.
if setarch --addr-no-randomize true 2>/dev/null; then
  exec setarch --addr-no-randomize "$@"
fi
exec "$@"
