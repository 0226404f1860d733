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
  --json FILE  where the JSON goes (default: gpu_check.json here)
  --no-tests   the check alone
  --driver LIB NVIDIA's driver library (default: libcuda.so.1)
  --libraries DIR[:DIR...]
               where cuBLASLt and cuDNN lie; without it they are looked for with the toolkit and
               with Python's packages
  --help       this text
Every FLAG goes to alchemist-gpu-check, whose --help lists them all.

Exit status: 3 when there is no GPU; 2 when a test or a check failed; else that of
alchemist-gpu-check: 0, or 4 when something was not run."

readonly TEST_SECONDS_MAX=180 # The first use of cuDNN reads and compiles much.
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
  local check="$bundle/bin/alchemist-gpu-check" status=0 failed=0
  [[ -x "$check" ]] || die "$bundle is no bundle: it has no bin/alchemist-gpu-check"
  if [[ -z "$libraries" ]]; then libraries="$(library_directories)"; fi
  rm -f "$json"
  ask_for_gpu
  if [[ "$with_tests" == 1 ]]; then run_tests; fi
  run_check --form="$form" --json="$json" "${flags[@]}" || status=$?
  if [[ -e "$json" ]]; then echo "gpu: the report is in $json"; fi
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
      --json | --driver | --libraries)
        [[ $# -ge 2 ]] || die "$1: nothing is named; see --help"
        case "$1" in
          --json) json="$2" ;;
          --driver) driver="$2" ;;
          --libraries) libraries="$2" ;;
        esac
        shift
        ;;
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

# Where cuBLASLt and cuDNN lie, separated by colons.
library_directories() {
  local -a places=(/usr/local /usr/lib /opt "${VIRTUAL_ENV:-/opt}" "${HOME:-/opt}")
  timeout "$SEARCH_SECONDS_MAX" find "${places[@]}" \
    -name 'libcublasLt.so.13' -o -name 'libcudnn.so.9' 2>/dev/null |
    xargs --no-run-if-empty dirname | awk '!seen[$0]++' | paste -sd: || true
}

# Ends with 3, and the reason, where there is no GPU: each test would fail in its own words.
ask_for_gpu() {
  local status=0
  run_check --form="$form" "${flags[@]}" --only=sharing.uuid >/dev/null || status=$?
  if [[ "$status" == 3 ]]; then exit 3; fi
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

# Each test of the bundle on the real driver. Sets main's `failed`.
run_tests() {
  local test output status
  for test in "$bundle"/tests/*; do
    status=0
    output="$(ALCHEMIST_TEST_CUDA_DRIVER="$driver" LD_LIBRARY_PATH="$libraries" \
      bounded "$TEST_SECONDS_MAX" "$test" 2>&1)" || status=$?
    if [[ "$status" != 0 ]]; then
      echo "$output"
      echo "gpu: ${test##*/} FAILED ($status)"
      failed=$((failed + 1))
    elif grep --quiet '^\[  SKIPPED \]' <<<"$output"; then
      echo "gpu: ${test##*/} passed, but for what it skipped:"
      grep --before-context=2 '^\[  SKIPPED \].* ms)$' <<<"$output" | sed 's/^/  /'
    else
      echo "gpu: ${test##*/} passed"
    fi
  done
}

main "$@"
