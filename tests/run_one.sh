#!/bin/bash
# Runs one test: run_one.sh [--fixed_addresses] COMMAND...; .bazelrc puts it before every test.
set -euo pipefail

# GCC 12's ThreadSanitizer refuses the address layouts that newer kernels choose at random.
if [[ "$1" == --fixed_addresses ]]; then
  shift
  if setarch --addr-no-randomize true 2>/dev/null; then set -- setarch --addr-no-randomize "$@"; fi
fi

# The sanitizers' options are in the environment, so that they hold for a test's daemons too.
# ThreadSanitizer cannot see the locks (absl::Mutex) inside Debian's gRPC. What such libraries do is
# ignored; what our code does is not, in gRPC's threads either.
here="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"
export TSAN_OPTIONS="ignore_noninstrumented_modules=1:suppressions=$here/tsan.supp"
export UBSAN_OPTIONS="print_stacktrace=1"

# The path of a Unix socket has at most 107 bytes, and that of Bazel's own temporary folder is
# longer.
TEST_TMPDIR="$(mktemp --directory --tmpdir alchemist.XXXXXXXX)"
export TEST_TMPDIR
trap 'rm -rf "$TEST_TMPDIR"' EXIT
trap 'exit 143' TERM  # Bazel stops a test by a signal to its whole process group.

"$@"
