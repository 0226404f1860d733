#!/bin/bash
# Makes the model that deploy/quickstart.sh serves: the corpus of the made-up world, a tokenizer
# trained on it, a Llama trained on both. The same bits every time on machines that choose the same
# kernels.
set -euo pipefail

readonly USAGE="\
usage: tools/make_quickstart_model.sh DIRECTORY [FLAG...]

Makes DIRECTORY with a Hugging Face model. FLAGs go to the training program, see
  bazel run //tools/pretrain -- --help"

main() {
  if [[ $# -lt 1 || "$1" == -* ]]; then
    echo "$USAGE" >&2
    exit 2
  fi
  mkdir -p "$1"
  local directory root
  directory="$(cd "$1" && pwd -P)"
  root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
  shift
  cd "$root"
  corpus="$(mktemp --tmpdir corpus.XXXXXXXX)"
  trap 'rm -f "$corpus"' EXIT
  bazel build //tools/world:make_corpus //tools:train_tokenizer //tools/pretrain
  bazel-bin/tools/world/make_corpus --out="$corpus"
  bazel-bin/tools/train_tokenizer --corpus="$corpus" --out="$directory"
  bazel-bin/tools/pretrain/pretrain --corpus="$corpus" --out="$directory" "$@"
}

main "$@"
