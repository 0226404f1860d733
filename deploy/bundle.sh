#!/bin/bash
# Puts the CUDA programs, and the libraries they need, into a folder that runs on a GPU machine.
set -euo pipefail

readonly USAGE="\
usage: deploy/bundle.sh [--built BIN] DIR

Makes the new folder DIR, with everything that a machine with an NVIDIA driver needs in order to run
  DIR/bin    the programs: alchemist-gpu-check
  DIR/tests  the tests of what talks to the GPU
  DIR/lib    the shared libraries of both, but not the C library (glibc 2.36 or newer is expected
             there) and none of CUDA's: those come with the machine
  DIR/gpu.sh runs them there (tests/gpu.sh)
DIR may be moved and copied. Needs the CUDA Toolkit under /usr/local/cuda, to build.

  --built BIN  take what was built from this folder, bazel-bin or a copy, and build nothing
  --help       this text"

readonly MIB_MAX=60  # So that it travels easily.
making=""            # The bundle, until it is whole.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
readonly ROOT
readonly PROGRAMS=(tools/gpu_check/alchemist-gpu-check)
readonly TESTS=(
  kernels/cuda/cuda_arena_test
  kernels/cuda/cuda_device_test
  kernels/cuda/cuda_ipc_test
  kernels/cuda/cuda_matmul_test
  kernels/cuda/cuda_probes_test
  kernels/cuda/cuda_stream_test
  kernels/cuda/cudnn_attention_test
  kernels/cuda/generation_fence_test
)
# The C library's own parts.
readonly C_LIBRARY='^(ld-linux-x86-64|libc|libdl|libm|libpthread|libresolv|librt|libutil)\.so'

die() {
  echo "bundle: $*" >&2
  exit 1
}

main() {
  local built="" directory=""
  parse_arguments "$@"
  [[ ! -e "$directory" ]] || die "$directory is there already"
  if [[ -z "$built" ]]; then
    build
    built="$ROOT/bazel-bin"
  fi
  mkdir -p "$(dirname "$directory")"
  making="$(mktemp --directory "$directory.XXXXXXXX")"
  trap 'rm -rf "$making"' EXIT
  chmod 755 "$making"
  mkdir "$making"/{bin,tests,lib}
  copy_stripped "$making/bin" "${PROGRAMS[@]/#/$built/}"
  copy_stripped "$making/tests" "${TESTS[@]/#/$built/}"
  copy_libraries "$making"
  cp "$ROOT/tests/gpu.sh" "$making/gpu.sh"
  check_size "$making"
  mv --no-target-directory "$making" "$directory"
  echo "bundle: $directory is ready; on the GPU machine run its gpu.sh"
}

# Sets main's `built` and `directory`.
parse_arguments() {
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --help | -h) echo "$USAGE" && exit 0 ;;
      --built)
        [[ $# -ge 2 ]] || die "--built: no folder is named; see --help"
        built="$2"
        shift
        ;;
      -*) die "unknown flag $1; see --help" ;;
      *)
        [[ -z "$directory" ]] || die "unexpected argument $1; see --help"
        directory="${1%/}"
        ;;
    esac
    shift
  done
  [[ -n "$directory" ]] || die "no folder is named; see --help"
}

build() {
  [[ -x /usr/local/cuda/bin/nvcc ]] || die "no CUDA Toolkit: there is no /usr/local/cuda/bin/nvcc"
  "$ROOT/deploy/install-deps.sh"
  local -a targets=()
  local path
  for path in "${PROGRAMS[@]}" "${TESTS[@]}"; do targets+=("//${path%/*}:${path##*/}"); done
  (cd "$ROOT" && bazel build --config=cuda "${targets[@]}")
}

# copy_stripped FOLDER FILE...: without what only debuggers read.
copy_stripped() {
  local folder="$1" file
  shift
  for file in "$@"; do
    [[ -f "$file" ]] || die "$file was not built"
    strip --strip-debug -o "$folder/${file##*/}" "$file"
  done
}

# What the loader finds for the programs here, in their libraries too. They look in ../lib first.
copy_libraries() {
  local directory="$1" name path
  while read -r name path; do
    [[ "$path" != "not found" ]] || die "$name is not found here"
    if [[ ! -e "$directory/lib/$name" ]]; then cp --dereference "$path" "$directory/lib/$name"; fi
  done < <(ldd "$directory"/bin/* "$directory"/tests/* |
    sed -nE 's/^\s*(\S+) => (not found|\S+).*/\1 \2/p' | sort -u | grep -vE "$C_LIBRARY")
}

check_size() {
  local mib
  mib="$(du --summarize --apparent-size --block-size=1M "$1" | cut -f1)"
  [[ "$mib" -lt "$MIB_MAX" ]] || die "$1 has $mib MiB; it must stay under $MIB_MAX"
}

main "$@"
