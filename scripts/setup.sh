# Sourced by ./run and ./test: makes sure that the Debian packages are there, and builds. All it prints goes to
# standard error, so that a command's standard output stays the command's own.
# shellcheck shell=bash

packages=(
  g++ cmake ninja-build
  libboost-program-options-dev libboost-iostreams-dev libyaml-cpp-dev nlohmann-json3-dev libfmt-dev libeigen3-dev
  libsqlitecpp-dev libsqlite3-dev libopenmpi-dev openmpi-bin
  libgtest-dev libgmock-dev libbenchmark-dev librapidcheck-dev
  xz-utils zstd  # unpack the lab's kernels
)
# For tests that look at the sources; where they cannot be had, those tests are skipped and say so.
test_packages=(clang-format-14 clang-tidy-14)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release

say() { printf '%s\n' "$*" >&2; }

# What the stamp holds: a change of the list, of the system or of the machine asks for a new look at the packages.
setup_key() { printf '%s\n' "${packages[*]}" "$(uname -nm)" "$(cat /etc/machine-id /etc/debian_version 2>/dev/null || true)"; }

# missing_packages PACKAGE...: those that are not installed, a line each.
missing_packages() {
  local package status
  for package in "$@"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || printf '%s\n' "$package"
  done
}

# The command that lets us install, in `as_root`; fails when there is none.
find_root() {
  as_root=()
  if [[ $EUID -eq 0 ]]; then return 0; fi
  command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
  as_root=(sudo -n)
}

install_packages() {
  if ! find_root; then
    say "These Debian packages are missing, and installing them needs root:" "$@"
    say "  mend: as root, apt-get install $*"
    exit 3
  fi
  say "Installing the missing packages:" "$@"
  "${as_root[@]}" apt-get -q update >&2 || say "apt-get update failed; trying with the lists at hand"
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@" >&2; then
    say "These packages could not be installed:" "$@"
    exit 3
  fi
}

ensure_packages() {
  local stamp=$root/build/.packages missing
  if [[ -f $stamp && $(<"$stamp") == "$(setup_key)" ]] && command -v cmake ninja g++ >/dev/null; then return; fi
  if command -v dpkg-query >/dev/null; then
    mapfile -t missing < <(missing_packages "${packages[@]}")
    if [[ ${#missing[@]} -gt 0 ]]; then install_packages "${missing[@]}"; fi
  else
    say "This is not a Debian system; these packages, or their like, have to be there: ${packages[*]}"
  fi
  setup_key >"$stamp"
}

# The tools of tests, if they can be had; nothing depends on it.
offer_test_packages() {
  local missing
  command -v dpkg-query >/dev/null || return 0
  mapfile -t missing < <(missing_packages "${test_packages[@]}")
  if [[ ${#missing[@]} -eq 0 ]] || ! find_root; then return 0; fi
  say "Installing tools of the tests:" "${missing[@]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    say "They could not be installed; the tests that need them are skipped."
}

# A build directory that came along from another place (a copied tree) is configured anew.
configure() {
  local cache=$build/CMakeCache.txt
  if [[ -f $build/build.ninja ]] && grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then return; fi
  local options=()
  # ccache cannot keep what was compiled with a precompiled header; without them each file takes longer, once.
  if command -v ccache >/dev/null; then
    options=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON)
  fi
  say "Configuring and building; the first time this takes some five minutes of processor time."
  (cd "$root" && cmake --fresh --preset release "${options[@]}" >/dev/null)
}

# build_targets TARGET...: one build at a time in this tree.
build_targets() {
  mkdir -p "$root/build"
  exec {lock}>"$root/build/.lock"
  flock "$lock"
  ensure_packages
  configure
  if ! ninja -C "$build" -j "$(nproc)" --quiet "$@" 2>&1 | sed '/^ninja: no work to do\.$/d' >&2; then
    say "The build failed."
    exit 1
  fi
  exec {lock}>&-
}
