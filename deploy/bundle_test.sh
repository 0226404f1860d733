#!/bin/bash
# A bundle stands alone: it is made, moved, and run without anything of this machine but the C
# library; without a GPU, then on the stand-in driver.
set -euo pipefail

readonly ROOT="$TEST_SRCDIR/alchemist"
readonly BUNDLE="$ROOT/deploy/bundle.sh"
readonly STAND_IN="$ROOT/kernels/cuda/stand_in/libcuda_stand_in.so"
readonly MADE="$TEST_TMPDIR/made"
readonly MOVED="$TEST_TMPDIR/elsewhere/moved"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# expect STATUS COMMAND...: its output goes to $output.
output=""
expect() {
  local wanted="$1" status=0
  shift
  output="$("$@" 2>&1)" || status=$?
  [[ "$status" == "$wanted" ]] || fail "$* ended with $status, not $wanted: $output"
}

# In an empty environment, from another folder.
alone() {
  (cd "$TEST_TMPDIR" && env -i PATH=/usr/bin:/bin HOME="$TEST_TMPDIR" TMPDIR="$TEST_TMPDIR" \
    ALCHEMIST_STAND_IN_MACHINE="$TEST_TMPDIR" "$@")
}

test_arguments() {
  expect 1 "$BUNDLE"
  [[ "$output" == "bundle: no folder is named; see --help" ]] || fail "$output"
  expect 1 "$BUNDLE" --fast "$MADE"
  [[ "$output" == "bundle: unknown flag --fast; see --help" ]] || fail "$output"
  expect 1 "$BUNDLE" --built "$TEST_TMPDIR" "$TEST_TMPDIR/of_nothing"
  [[ "$output" == *"alchemist-gpu-check was not built"* ]] || fail "$output"
  compgen -G "$TEST_TMPDIR/of_nothing*" && fail "a failed bundle is left"
  expect 0 "$BUNDLE" --built "$ROOT" "$MADE/"  # As a shell completes it.
  expect 1 "$BUNDLE" --built "$ROOT" "$MADE"
  [[ "$output" == "bundle: $MADE is there already" ]] || fail "$output"
}

test_contents() {
  local mib file
  mib="$(du --summarize --apparent-size --block-size=1M "$MADE" | cut -f1)"
  [[ "$mib" -lt 60 ]] || fail "$mib MiB"
  [[ -e "$MADE/lib/libstdc++.so.6" ]] || fail "the C++ library is not in it"
  for file in "$MADE"/lib/*; do
    case "${file##*/}" in
      libc.so* | ld-linux* | libcuda* | libcu[bd]*) fail "$file is in it" ;;
    esac
  done
}

test_it_needs_only_the_c_library() {
  mkdir -p "${MOVED%/*}"
  mv "$MADE" "$MOVED"
  local from_elsewhere
  from_elsewhere="$(alone ldd "$MOVED"/bin/* "$MOVED"/tests/* | grep '=>' |
    grep --invert-match --fixed-strings " => $MOVED/" |
    grep --invert-match --extended-regexp '\s(libc|libdl|libm|libpthread|librt)\.so' || true)"
  [[ -z "$from_elsewhere" ]] || fail "it takes from this machine: $from_elsewhere"
}

test_without_a_gpu_it_says_so() {
  echo older >"$TEST_TMPDIR/gpu_check.json"
  expect 3 alone "$MOVED/gpu.sh" --driver /nonexistent/libcuda.so.1
  [[ "$output" == *"no GPU can be asked: no NVIDIA driver"* ]] || fail "$output"
  [[ "$(cat "$TEST_TMPDIR/gpu_check.json")" == older ]] || fail "an older report is gone"
  expect 1 alone "$MOVED/gpu.sh" --driver "$STAND_IN" --bogus
  [[ "$output" == *"Unknown command line flag 'bogus'"* ]] || fail "$output"
  [[ "$output" != *_test* ]] || fail "it ran the tests before it read the flags: $output"
  expect 1 alone "$MOVED/gpu.sh" --driver "$STAND_IN" --form=tiny --only shearing
  [[ "$output" != *_test* ]] || fail "it ran the tests before it read the names: $output"
  expect 1 alone "$MOVED/gpu.sh" --list
  expect 1 alone "$MOVED/gpu.sh" --form=long
  expect 1 alone "$ROOT/tests/gpu.sh" "$TEST_TMPDIR"
  [[ "$output" == *"is no bundle"* ]] || fail "$output"
}

test_on_the_stand_in_it_runs_tests_and_check() {
  expect 0 alone "$ROOT/tests/gpu.sh" --driver "$STAND_IN" --json report.json "$MOVED" \
    --form=tiny --only sharing.import,sharing.canary
  [[ "$output" == *"gpu: cuda_probes_test passed"* ]] || fail "$output"
  [[ "$output" == *"gpu: cuda_matmul_test passed, but for 4 that it skipped"* ]] || fail "$output"
  [[ "$output" == *"2 passed, 0 failed"* ]] || fail "$output"
  expect 0 alone "$MOVED/bin/alchemist-gpu-check" --show=report.json
  [[ "$output" == *"Alchemist stand-in"* ]] || fail "$output"
}

# A test that crashes or hangs its children is one that failed: the check runs all the same.
test_a_crashing_test_does_not_end_the_run() {
  local broken="$TEST_TMPDIR/broken"
  cp -r "$MOVED" "$broken"
  rm "$broken"/tests/*
  printf '#!/bin/sh\nsleep 1000 &\nkill -ABRT $$\n' >"$broken/tests/crashing_test"
  chmod 755 "$broken/tests/crashing_test"
  expect 2 alone "$broken/gpu.sh" --libraries "$TEST_TMPDIR" --driver "$STAND_IN" --form=tiny \
    --only sharing.import
  [[ "$output" == *"gpu: crashing_test FAILED (134)"* ]] || fail "$output"
  [[ "$output" == *"1 passed, 0 failed"* ]] || fail "$output"
}

test_a_failed_test_or_check_is_status_2() {
  expect 2 alone env ALCHEMIST_STAND_IN_FAIL=cuMemImportFromShareableHandle:1:801 "$MOVED/gpu.sh" \
    --libraries "$TEST_TMPDIR" --no-tests --driver "$STAND_IN" --form=tiny --only=sharing.import
  expect 2 alone env ALCHEMIST_STAND_IN_FAIL=cuMemCreate:1:801 "$MOVED/gpu.sh" \
    --libraries "$TEST_TMPDIR" --driver "$STAND_IN" --form=tiny --only=sharing.uuid
  [[ "$output" == *"cuda_arena_test FAILED"* ]] || fail "$output"
}

test_arguments
test_contents
test_it_needs_only_the_c_library
test_without_a_gpu_it_says_so
test_on_the_stand_in_it_runs_tests_and_check
test_a_crashing_test_does_not_end_the_run
test_a_failed_test_or_check_is_status_2
