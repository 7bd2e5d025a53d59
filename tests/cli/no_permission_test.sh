#!/usr/bin/env bash
# No permission on /dev/kvm: exit status 3 and what to do about it.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -e /dev/kvm ]] || skip "there is no /dev/kvm"
write_scenario good 1
if [[ -w /dev/kvm ]]; then
  [[ $(id -u) -eq 0 ]] || skip "this user may use /dev/kvm, and only root can become another"
  command -v setpriv >/dev/null || skip "needs setpriv (package util-linux)"
  nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
  real=$tscsim
  "${nobody[@]}" test -x "$real" || skip "the user nobody cannot reach the build folder"
  "${nobody[@]}" test -w /dev/kvm && skip "everybody may use /dev/kvm here"
  tscsim=$work/tscsim-as-nobody
  printf '#!/bin/bash\nexec %s %q "$@"\n' "${nobody[*]}" "$real" >"$tscsim"
  chmod 755 "$tscsim" "$work"
fi
message="tscsim: /dev/kvm is not permitted: opening it failed: EACCES
  next: join the group 'kvm' (usermod -aG kvm USER), or run as root"
refuses_silently 3 "$message" crosscheck good.yaml --on native
refuses_silently 3 "$message" record good.yaml --on native -o good.jsonl
refuses_silently 3 "$message" doctor
finish
