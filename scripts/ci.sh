#!/usr/bin/env bash
# The steps of action.yml and docs/ci/gitlab-ci.yml.
#   ci.sh install                               the package of this checkout; made once, kept in ~/.cache/tscsim/package
#   ci.sh check REPORTS SCENARIO...             on the model; REPORTS/check.xml
#   ci.sh crosscheck REPORTS TARGETS SCENARIO...  REPORTS/crosscheck.xml, REPORTS/recordings.jsonl.xz
#   ci.sh vmm REPORTS TARGET COMMAND...         records a VMM in the lab, verifies the recording, and lints it:
#                                               REPORTS/vmm.jsonl, REPORTS/lint.sarif
# Exit status: tscsim's (0 all held, 1 something did not, 2 bad input, 3 a target was not available).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
usage() { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

as_root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi; }

install_package() {
  local kept=${XDG_CACHE_HOME:-$HOME/.cache}/tscsim/package
  if ! compgen -G "$kept/*.deb" >/dev/null; then "$here/package.sh" "$kept" >/dev/null; fi
  as_root apt-get -q update >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$kept"/*.deb xz-utils zstd >/dev/null
  tscsim --version
}

step=${1:-}
[[ $# -gt 0 ]] && shift
case $step in
  install)
    install_package
    exit
    ;;
  check | crosscheck | vmm) ;;
  *) usage ;;
esac
reports=${1:?$(usage)}
shift
mkdir -p "$reports"
case $step in
  check)
    [[ $# -gt 0 ]] || usage
    tscsim check "$@" --junit "$reports/check.xml"
    ;;
  crosscheck)
    [[ $# -gt 1 ]] || usage
    targets=$1
    shift
    tscsim crosscheck "$@" --on "$targets" --junit "$reports/crosscheck.xml" --keep "$reports/recordings.jsonl.xz"
    ;;
  vmm)
    [[ $# -gt 1 ]] || usage
    target=$1
    shift
    tscsim trace --on "$target" -o "$reports/vmm.jsonl" -- "$@"
    tscsim verify "$reports"/vmm*.jsonl
    tscsim lint "$reports"/vmm*.jsonl --format sarif >"$reports/lint.sarif"
    ;;
esac
