#!/bin/bash
# Fuzzes one parser for a time, from its corpus, with what earlier runs found.
set -euo pipefail

readonly USAGE="\
usage: tests/fuzz/run.sh TARGET SECONDS

TARGET is safetensors, config, tokenizer, link_to_server or link_to_trainer. Builds it with
libFuzzer and the sanitizers for addresses, leaks and undefined behaviour, and runs it on one core.
That takes clang, which nothing else needs:

  apt-get install --no-install-recommends clang libclang-rt-14-dev

What it finds is kept in .cache/fuzz. An input that ends the run (its name is printed) goes into
tests/fuzz/make_corpus.py under a name that tells what it did, and is a test from then on."

if [[ $# -ne 2 || ! "$2" =~ ^[0-9]+$ ]]; then
  echo "$USAGE" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly CORPUS="tests/fuzz/corpus/$1"
readonly FOUND=".cache/fuzz/$1"
[[ -d "$CORPUS" ]] || { echo "$USAGE" >&2 && exit 2; }

bazel build --config=fuzz "//tests/fuzz:$1_fuzz"
binary="$(bazel info --config=fuzz bazel-bin)/tests/fuzz/$1_fuzz"
mkdir -p "$FOUND"
work_dir="$(mktemp --directory --tmpdir alchemist.XXXXXXXX)"
trap 'rm -rf "$work_dir"' EXIT

# Of every input the link's targets would log a refusal.
export TEST_TMPDIR="$work_dir" GLOG_minloglevel=3 UBSAN_OPTIONS="print_stacktrace=1"
"$binary" -max_total_time="$2" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
  -print_final_stats=1 -artifact_prefix="$FOUND-" "$FOUND" "$CORPUS"
