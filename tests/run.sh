#!/bin/bash
# Installs what is missing, builds everything, runs all tests, and says how each test case ended.
set -euo pipefail

readonly USAGE="\
usage: tests/run.sh [--long] [--config=asan|--config=tsan] [TARGET...]

Builds and runs the tests of the Bazel targets TARGET (default: //...), also when some of them do
not build. Prints every skipped test with its reason; a skip that tests/allowed_skips.txt does not
list is a failure. The last line is
  N passed, N failed, N skipped
and the exit status is 0 only when nothing failed. The build is kept for the next run; tests always
run again, because some depend on more than their files (the machine, ALCHEMIST_DATA).

Where the CUDA Toolkit is, the CUDA backend is built and tested too, on a stand-in for the driver;
no test needs a GPU (tests/gpu.sh runs those that want one).

  --long           also the long variants of tests (ALCHEMIST_LONG=1), under longer time limits
  --config=NAME    with a sanitizer: asan (addresses, undefined behaviour) or tsan (threads)
  --help           this text

ALCHEMIST_DATA names the folder of real data; tests that need it skip where it is not set."

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
readonly ROOT
readonly NVCC=/usr/local/cuda/bin/nvcc
work_dir=""    # Temporary files of this run.
server_pid=""  # Bazel's server.
bazel_pid=""   # The Bazel client that runs the tests, while it does.

main() {
  local -a options=(--keep_going --nocache_test_results --local_test_jobs=2)
  local -a targets=()
  parse_arguments "$@"
  cd "$ROOT"
  if [[ -x "$NVCC" ]]; then options+=(--config=cuda); fi
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  trap clean_up EXIT
  work_dir="$(mktemp --directory --tmpdir alchemist.XXXXXXXX)"

  "$ROOT/deploy/install-deps.sh"
  # Links that another user's Bazel left: ours would follow them and take its output for sources.
  find "$ROOT" -maxdepth 1 -type l -name 'bazel-*' -delete
  server_pid="$(bazel info server_pid)"
  run_tests
  "$ROOT/tests/summarize.py" "$work_dir/events.json" "$ROOT/tests/allowed_skips.txt"
}

# Sets main's `options` and `targets`, and makes ALCHEMIST_DATA absolute.
parse_arguments() {
  local argument
  for argument in "$@"; do
    case "$argument" in
      --help | -h) echo "$USAGE" && exit 0 ;;
      --long) options+=(--test_env=ALCHEMIST_LONG=1 "--test_timeout=1800,3600,7200,36000") ;;
      --config=asan | --config=tsan) options+=("$argument") ;;
      -*) echo "$USAGE" >&2 && exit 2 ;;
      *) targets+=("$argument") ;;
    esac
  done
  if [[ ${#targets[@]} -eq 0 ]]; then targets=(//...); fi
  if [[ -n "${ALCHEMIST_DATA:-}" ]]; then
    ALCHEMIST_DATA="$(realpath --canonicalize-existing "$ALCHEMIST_DATA")"
    export ALCHEMIST_DATA
  fi
}

# Bazel runs in the background so that a signal is handled at once. Its exit status is not used:
# its events say more. The tests have their temporary folders in ours (tests/run_one.sh).
run_tests() {
  TMPDIR="$work_dir" bazel test "${options[@]}" --build_event_json_file="$work_dir/events.json" \
    -- "${targets[@]}" &
  bazel_pid=$!
  wait "$bazel_pid" || true
  bazel_pid=""
}

# Ends a run after a signal. Bazel's client, told to stop, stops the tests at work: each runs below
# a process-wrapper that adopts its descendants and kills them, daemons in other sessions too.
interrupted() {
  trap '' INT TERM
  echo "tests/run.sh: interrupted, stopping the tests" >&2
  if [[ -n "$bazel_pid" ]]; then
    kill -TERM "$bazel_pid" 2>/dev/null || true
    wait "$bazel_pid" || true
  fi
  exit "$1"
}

# Leaves no process and no temporary file behind. On a busy machine `bazel shutdown` was once seen
# to return before it had reached the server.
clean_up() {
  trap '' INT TERM
  bazel shutdown >/dev/null 2>&1 || true
  if [[ -n "$server_pid" ]]; then kill -TERM "$server_pid" 2>/dev/null || true; fi
  rm -rf "$work_dir"
}

main "$@"
