#!/bin/bash
# Installs what is missing, builds, and shows a model that learns while you watch.
set -euo pipefail

readonly USAGE="\
usage: deploy/quickstart.sh [--model DIR] [--seed N] [--seeds N] [--report FILE] [FLAG...]

Starts both daemons on a small model, asks questions about a made-up world, corrects answers while
other clients keep asking, waits until what was learned is served, and asks again in other words.
At the end it says what was learned, how fast, and what was forgotten.

  --model DIR    another Hugging Face directory to run on; nothing is expected of it
  --seed N       draws which facts are corrected, and how (default: 1)
  --seeds N      N runs, with the seeds from --seed on; the worst is judged
  --report FILE  write what was measured as JSON
  --help         this text
Every FLAG goes to tools/quickstart, whose --help lists them all.

Exit status: 0 when every expectation is met, or none is held against this model; 2 when one is
missed; 1 after an error; 130 or 143 when stopped by a signal."

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
readonly ROOT
work_dir=""    # Everything the daemons write.
server_pid=""  # Bazel's server.
child_pid=""   # What runs in the background: the build, then the quickstart.

main() {
  local argument
  for argument in "$@"; do
    if [[ "$argument" == --help || "$argument" == -h ]]; then echo "$USAGE" && exit 0; fi
  done
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  trap 'interrupted 129' HUP
  trap clean_up EXIT
  "$ROOT/deploy/install-deps.sh"
  build
  work_dir="$(mktemp --directory --tmpdir alchemist.XXXXXXXX)"
  local bin="$ROOT/bazel-bin"
  run_child "$bin/tools/quickstart/quickstart" --work_dir="$work_dir" \
    --server_program="$bin/server/alchemist-server" \
    --trainer_program="$bin/trainer/alchemist-trainer" \
    --committed_model="$ROOT/deploy/quickstart_model" "$@"
}

build() {
  cd "$ROOT"
  # Links that another user's Bazel left: ours would follow them and take its output for sources.
  find "$ROOT" -maxdepth 1 -type l -name 'bazel-*' -delete
  local pid
  server_pid=unknown  # A signal may come while it starts: then its shutdown has to do.
  pid="$(bazel info server_pid)"
  server_pid="$pid"
  run_child bazel build //server:alchemist-server //trainer:alchemist-trainer //tools/quickstart
  stop_bazel
  cd "$OLDPWD"
}

# Runs a command in the background, so that a signal is handled at once; its status is ours.
run_child() {
  "$@" &
  child_pid=$!
  local status=0
  wait "$child_pid" || status=$?
  child_pid=""
  return "$status"
}

# Nobody needs it while the daemons run, and it would take their memory. On a busy machine `bazel
# shutdown` was once seen to return before it had reached the server.
stop_bazel() {
  if [[ -z "$server_pid" ]]; then return 0; fi
  (cd "$ROOT" && bazel shutdown >/dev/null 2>&1) || true
  kill -TERM "$server_pid" 2>/dev/null || true
  server_pid=""
}

# Ends after a signal. The quickstart, told to stop, ends its daemons, which are in sessions of
# their own; so does the kernel should it be killed.
interrupted() {
  trap '' INT TERM HUP
  echo "deploy/quickstart.sh: interrupted, stopping" >&2
  if [[ -n "$child_pid" ]]; then
    kill -TERM "$child_pid" 2>/dev/null || true
    wait "$child_pid" || true
  fi
  exit "$1"
}

# Leaves no process and no temporary file behind.
clean_up() {
  trap '' INT TERM HUP
  stop_bazel
  if [[ -n "$work_dir" ]]; then rm -rf "$work_dir"; fi
}

main "$@"
