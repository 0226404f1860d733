#!/bin/bash
# Runs a bundle of deploy/bundle.sh on a machine with a GPU: the tests, then alchemist-gpu-check.
set -euo pipefail

readonly USAGE="\
usage: tests/gpu.sh [OPTION...] BUNDLE [FLAG...]
       BUNDLE/gpu.sh [OPTION...] [FLAG...]

Runs the tests of what talks to the GPU, then alchemist-gpu-check, which prints a table and writes
it as JSON. Neither changes a setting of the GPU. Needs the NVIDIA driver; cuBLASLt and cuDNN are
looked for, and what needs them says so where they are not.

  --long       the long form of the check, at most 15 minutes; without it at most 3
  --only NAMES the questions of these groups or ids alone, separated by commas
  --json FILE  where the JSON goes (default: gpu_check.json here)
  --no-tests   the check alone
  --driver LIB NVIDIA's driver library (default: libcuda.so.1)
  --libraries DIR[:DIR...]
               where cuBLASLt and cuDNN lie; without it they are looked for with the toolkit and
               with Python's packages
  --help       this text
Every FLAG (--name=value) goes to alchemist-gpu-check. For its --list, --show and --help run it
itself: BUNDLE/bin/alchemist-gpu-check.

Exit status: 3 when there is no GPU; 2 when a test or a check failed; else that of
alchemist-gpu-check: 0, 1 when an argument is wrong, or 4 when something was not run; 124 or 137
when it did not end in time."

readonly TEST_SECONDS_MAX=90   # The first use of cuDNN reads and compiles much.
readonly TESTS_SECONDS_MAX=240 # All of them: what is left after that is not run.
readonly PROBE_SECONDS_MAX=90
readonly SEARCH_SECONDS_MAX=20
readonly SLACK_SECONDS=60 # Beyond the check's own limit, to end its processes.

die() {
  echo "gpu: $*" >&2
  exit 1
}

main() {
  local bundle="" json=gpu_check.json driver=libcuda.so.1 form=short seconds_max=180 with_tests=1
  local libraries=""
  local -a flags=()
  parse_arguments "$@"
  local check="$bundle/bin/alchemist-gpu-check" status=0 failed=0 started
  [[ -x "$check" ]] || die "$bundle is no bundle: it has no bin/alchemist-gpu-check"
  ask_for_gpu
  if [[ -z "$libraries" ]]; then find_libraries; fi
  if [[ "$with_tests" == 1 ]]; then run_tests; fi
  started="$(date +%s)"
  run_check --form="$form" --json="$json" "${flags[@]}" || status=$?
  if [[ -e "$json" && "$(stat --format=%Y "$json")" -ge "$started" ]]; then
    echo "gpu: the report is in $json"
  fi
  if [[ "$failed" != 0 ]]; then
    echo "gpu: $failed of the tests FAILED; see above"
    status=2
  fi
  exit "$status"
}

# Sets main's variables.
parse_arguments() {
  local here
  here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
  if [[ -x "$here/bin/alchemist-gpu-check" ]]; then bundle="$here"; fi
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --help | -h) echo "$USAGE" && exit 0 ;;
      --long) form=long seconds_max=900 ;;
      --no-tests) with_tests=0 ;;
      --json | --driver | --libraries | --only)
        [[ $# -ge 2 ]] || die "$1: nothing is named; see --help"
        set_option "$1" "$2"
        shift
        ;;
      --json=* | --driver=* | --libraries=*) set_option "${1%%=*}" "${1#*=}" ;;
      --form=long) die "$1: it is --long here" ;;
      --list | --show*) die "$1: run $here/bin/alchemist-gpu-check itself for that" ;;
      -*) flags+=("$1") ;;
      *)
        [[ -z "$bundle" ]] || die "unexpected argument $1; see --help"
        bundle="$1"
        ;;
    esac
    shift
  done
  [[ -n "$bundle" ]] || die "no bundle is named; see --help"
}

set_option() {
  case "$1" in
    --json) json="$2" ;;
    --driver) driver="$2" ;;
    --libraries) libraries="$2" ;;
    --only) flags+=("--only=$2") ;;
  esac
}

# Ends, with the check's own words and status, where the check could not even begin: no GPU, a wrong
# flag, a signal. Each test would fail in its own words.
ask_for_gpu() {
  local output status=0
  output="$(bounded "$PROBE_SECONDS_MAX" "$check" --driver_library="$driver" --form="$form" \
    --json="$json" "${flags[@]}" --dry_run 2>&1)" || status=$?
  if [[ "$status" != 0 ]]; then
    echo "$output" >&2
    exit "$status"
  fi
  echo "gpu: $output"
}

# Where cuBLASLt and cuDNN lie, separated by colons. Sets main's `libraries`.
find_libraries() {
  local -a places=(/usr/local /usr/lib /opt "${VIRTUAL_ENV:-/opt}" "${HOME:-/opt}")
  echo "gpu: looking for cuBLASLt and cuDNN"
  libraries="$(timeout "$SEARCH_SECONDS_MAX" find "${places[@]}" \
    -name 'libcublasLt.so.13' -o -name 'libcudnn.so.9' 2>/dev/null |
    xargs --no-run-if-empty dirname | awk '!seen[$0]++' | paste -sd: || true)"
  echo "gpu: they are in ${libraries:-no place that was looked at}"
}

# bounded SECONDS COMMAND...: in the foreground, so that Ctrl-C reaches it.
bounded() {
  timeout --foreground --kill-after=10 "$@"
}

# run_check FLAG...
run_check() {
  bounded $((seconds_max + SLACK_SECONDS)) "$check" --driver_library="$driver" \
    --library_directories="$libraries" "$@"
}

# Each test of the bundle on the real driver. Sets main's `failed`. The output goes to a file: a
# pipe would be waited for as long as any process of a test has it.
run_tests() {
  local test status log started=$SECONDS
  log="$(mktemp)"
  for test in "$bundle"/tests/*; do
    if ((SECONDS - started >= TESTS_SECONDS_MAX)); then
      echo "gpu: ${test##*/} is not run: the tests have taken $TESTS_SECONDS_MAX s"
      continue
    fi
    status=0
    ALCHEMIST_TEST_CUDA_DRIVER="$driver" \
      LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
      bounded "$TEST_SECONDS_MAX" "$test" >"$log" 2>&1 || status=$?
    case "$status" in
      0) echo "gpu: ${test##*/} passed$(skips_in "$log")" ;;
      129 | 130 | 143) rm -f "$log" && exit "$status" ;;
      *)
        cat "$log"
        echo "gpu: ${test##*/} FAILED ($status)"
        failed=$((failed + 1))
        ;;
    esac
  done
  rm -f "$log"
}

# How many cases of a test's output, in the file $1, were skipped, and why; empty for none.
skips_in() {
  local count
  count="$(grep --count '^\[  SKIPPED \].* ms)$' "$1" || true)"
  if [[ "$count" == 0 ]]; then return; fi
  echo ", but for $count that it skipped:"
  grep --before-context=1 '^\[  SKIPPED \].* ms)$' "$1" |
    grep --invert-match --extended-regexp '^(\[|--)' | sed 's/^/  /' | sort --unique || true
}

main "$@"
