#!/bin/bash
# Installs the Debian 12 packages that building and testing Alchemist needs: only those that are
# missing, and without a question. Root installs directly, everyone else through sudo. What each
# package is for, and its licence, stand in docs/licences.md.
set -euo pipefail

# //tools/tidy checks that each has its row in docs/licences.md.
readonly PACKAGES=(
  bazel-bootstrap bazel-rules-java bazel-rules-proto g++ git python3
  libabsl-dev libbenchmark-dev libdnnl-dev libgmock-dev libgoogle-glog-dev libgrpc++-dev
  libgtest-dev libicu-dev libpcre2-dev libprotobuf-dev libsqlite3-dev libssl-dev
  nlohmann-json3-dev prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc
)

die() {
  echo "install-deps: $*" >&2
  exit 1
}

# Prints the packages of PACKAGES that are not installed, one per line.
missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    if [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" \
      != installed ]]; then
      echo "$package"
    fi
  done
}

# Runs apt-get as root. Another apt-get at work (unattended upgrades) is waited for.
apt_get() {
  local -a as_root=()
  if [[ "$(id -u)" -ne 0 ]]; then
    command -v sudo >/dev/null || die "not root, and there is no sudo: run this as root once"
    as_root=(sudo)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get --quiet --option DPkg::Lock::Timeout=300 "$@"
}

main() {
  local -a missing
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    die "needs Debian 12 (there is no dpkg or apt-get here)"
  fi
  mapfile -t missing < <(missing_packages)
  if [[ ${#missing[@]} -eq 0 ]]; then
    echo "install-deps: all ${#PACKAGES[@]} packages are installed"
    return
  fi
  echo "install-deps: installing ${#missing[@]} of ${#PACKAGES[@]} packages: ${missing[*]}"
  apt_get update || die "apt-get update failed: see its message above"
  apt_get install --yes --no-install-recommends "${missing[@]}" ||
    die "apt-get install failed: see its message above"
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} -eq 0 ]] || die "still missing after the installation: ${missing[*]}"
  echo "install-deps: done"
}

main "$@"
