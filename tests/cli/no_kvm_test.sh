#!/usr/bin/env bash
# No KVM: exit status 3 and what to do about it. The model needs none.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

refuses_silently 3 "tscsim: /nonexistent does not exist: this kernel has no KVM, or its module is not loaded
  next: load kvm-intel or kvm-amd, enable nested virtualisation, or use a lab target" doctor --device /nonexistent
refuses_silently 3 "tscsim: /dev/null is not a KVM device: KVM_GET_API_VERSION failed: ENOTTY
  next: name the KVM device, usually /dev/kvm" doctor --device /dev/null

# A mount namespace in which /dev is empty.
without_dev=(unshare --mount bash -c 'mount -t tmpfs none /dev && exec "$@"' -)
if [[ -e /dev/kvm ]]; then
  "${without_dev[@]}" true 2>/dev/null || skip "the rest needs the right to mount (root), to hide /dev/kvm"
  real=$tscsim
  tscsim=$work/tscsim-without-kvm
  printf '#!/bin/bash\nexec unshare --mount bash -c '\''mount -t tmpfs none /dev && exec "$@"'\'' - %q "$@"\n' "$real" >"$tscsim"
  chmod +x "$tscsim"
fi
write_scenario good 1
message="tscsim: /dev/kvm does not exist: this kernel has no KVM, or its module is not loaded
  next: load kvm-intel or kvm-amd, enable nested virtualisation, or use a lab target"
refuses_silently 3 "$message" crosscheck good.yaml --on native
refuses_silently 3 "$message" record good.yaml --on native -o good.jsonl
refuses_silently 3 "$message" doctor
[[ -e good.jsonl ]] && wrong "a recording was written without a KVM"
wants_object 0 'passed=1' check good.yaml
finish
