#!/usr/bin/env bash
# The package works where there is no checkout: package_test.sh SOURCE_DIR BUILD_DIR.
# It is made, unpacked, and its program runs in a mount namespace in which the checkout is an empty folder.
set -euo pipefail
source_dir=$1
build_dir=$2
for tool in cpack dpkg-deb dpkg-shlibdeps unshare; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done
unshare -m true 2>/dev/null || { echo "skipped: no right to a mount namespace of its own"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$build_dir" && cpack -G DEB -B "$work/made" >"$work/log" 2>&1) || { cat "$work/log"; exit 1; }
dpkg-deb -x "$work"/made/*.deb "$work/root"
share=$work/root/usr/share

cat >"$work/inside.sh" <<'END'
set -u
mount -t tmpfs none "$1" || exit 77
cd "$2"
shift 2
exec "$@"
END
without_checkout() { unshare -m bash "$work/inside.sh" "$source_dir" "$work" "$@"; }

failed=0
# wants STATUS PATTERN COMMAND...
wants() {
  local status=$1 pattern=$2 got=0
  shift 2
  without_checkout "$@" >"$work/out" 2>&1 || got=$?
  if [[ $got -ne $status ]] || ! grep -qE "$pattern" "$work/out"; then
    echo "FAILED: $* : exit status $got, expected $status and '$pattern'"
    tail -n 5 "$work/out"
    failed=1
  fi
}
tscsim=$work/root/usr/bin/tscsim
wants 0 ' passed' "$tscsim" check
wants 0 'interleaved' "$tscsim" explain interleaved-create
wants 0 'qemu/migrate' "$tscsim" list procedures
wants 1 'interleaved-create' "$tscsim" lint "$share/tscsim/scenarios/vmm/cloud-hypervisor/interleaved-restore.yaml"
wants 0 'vCPU' "$tscsim" verdict "$share/tscsim/scenarios/vmm/cloud-hypervisor/interleaved-restore.yaml"
wants 0 'lab:amd-6.12' "$tscsim" lab list
for name in tscsim tscsim-verdict tscsim-crosscheck; do
  grep -q '^\.SH NAME' "$share/man/man1/$name.1"* 2>/dev/null || zgrep -q '^\.SH NAME' "$share/man/man1/$name.1.gz" ||
    { echo "FAILED: no man page $name"; failed=1; }
done
bash -n "$share/bash-completion/completions/tscsim" || failed=1

# What a shell completes.
completes() {
  local got
  got=$(without_checkout bash -c 'PATH='"$work/root/usr/bin:$PATH"'; source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tscsim; printf "%s\n" "${COMPREPLY[@]}"' \
    "$share/bash-completion/completions/tscsim" "${@:2}")
  grep -qxF -- "$1" <<<"$got" || { echo "FAILED: '${*:2}' does not complete to $1, but to: $got"; failed=1; }
}
completes verdict tscsim verd
completes --procedure tscsim run --proc
completes qemu/migrate tscsim run --procedure qemu/mi
completes 6.17 tscsim run --kernel 6.1
completes interleaved-create tscsim explain interleaved

# Without its library each command says so, once, and nothing is taken for an empty one.
mv "$share/tscsim" "$share/elsewhere"
for command in check 'list procedures' 'list scenarios' 'explain qemu/migrate'; do
  # shellcheck disable=SC2086
  wants 3 'library of scenarios and procedures is missing' "$tscsim" $command
done
exit "$failed"
