#!/usr/bin/env bash
# The Debian package of this tree.
#   scripts/package.sh [FOLDER]               builds here, as ./run does, and leaves tscsim_VERSION_ARCH.deb in FOLDER (=build/package)
#   scripts/package.sh --clean-root [FOLDER]  builds in a new Debian 12 root that holds what the package list names and no more,
#                                             installs the package in another that holds nothing else, and tries it there.
#                                             Needs root and the Debian package mmdebstrap; some fifteen minutes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

make_package() {  # FOLDER
  packages+=(dpkg-dev file)
  build_targets cli/tscsim texts
  mkdir -p "$1"
  (cd "$build" && cpack -G DEB -B "$1" >"$1/cpack.log") || { cat "$1/cpack.log" >&2; exit 1; }
  find "$1" -maxdepth 1 -name '*.deb'
}

# new_root FOLDER PACKAGE...: from the mirror that this machine is set up with.
new_root() {
  local folder=$1
  shift
  local include=$*
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$2 ~ /^bookworm(-security|-updates)?$/ {print "deb [trusted=yes]", $1, $2, $3}' | sort -u >"$folder.sources"
  mmdebstrap --variant=apt --include="${include// /,}" bookworm "$folder" "$folder.sources" >&2
}

in_clean_root() {  # FOLDER
  if [[ $EUID -ne 0 ]] || ! command -v mmdebstrap >/dev/null; then
    say "--clean-root needs root and the Debian package mmdebstrap"
    exit 3
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  new_root "$work/build-root" ca-certificates "${packages[@]}" dpkg-dev file
  mkdir -p "$work/build-root/src" "$1"
  git -C "$root" archive HEAD | tar -x -C "$work/build-root/src"
  chroot "$work/build-root" env CI=true /src/scripts/package.sh /package
  cp "$work"/build-root/package/*.deb "$1/"
  new_root "$work/user-root" ca-certificates
  cp "$1"/tscsim_*.deb "$work/user-root/"
  chroot "$work/user-root" sh -c 'apt-get -qy install --no-install-recommends /tscsim_*.deb' >&2
  local command
  for command in --version check 'explain qemu/migrate' 'lab list' \
    'verdict /usr/share/tscsim/scenarios/vmm/cloud-hypervisor/interleaved-restore.yaml'; do
    chroot "$work/user-root" sh -c "tscsim $command" >"$work/out" 2>&1 || { say "tscsim $command failed:"; tail -n 20 "$work/out" >&2; exit 1; }
    say "tscsim $command: $(tail -n 1 "$work/out")"
  done
  find "$1" -maxdepth 1 -name '*.deb'
}

case ${1:-} in
  --clean-root) in_clean_root "${2:-$root/build/package}" ;;
  -*) echo "usage: scripts/package.sh [--clean-root] [FOLDER]" >&2; exit 2 ;;
  *) make_package "${1:-$root/build/package}" ;;
esac
