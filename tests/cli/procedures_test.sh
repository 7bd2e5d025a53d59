#!/usr/bin/env bash
# VMM procedures on the command line: what there is, one in the place of another, one of the user's own.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

says() {  # says TEXT ARG...: exit status 0 and a line with TEXT on standard output
  local text=$1
  shift
  run_tscsim "$@"
  want_status 0 "$*"
  grep -qF -- "$text" out.txt || wrong "tscsim $*: does not say '$text'"
}

says "qemu/migrate " list procedures
for text in "for migrate; versions: 2.9 and later" "downtime " "QEMU's downtime-limit" "get_msr: IA32_TSC, as: tsc" \
  "QEMU 6053a86fe7bd"; do
  says "$text" explain qemu/migrate
done
refuses_silently 2 "tscsim: nothing is called 'qemu/migrat'; did you mean 'qemu/migrate'?" explain qemu/migrat

cat >moved.yaml <<'YAML'
name: moved
hosts: {a: {}, b: {}}
vm: {vcpus: 1, kvmclock: on}
timeline:
  - {at: 0 s, vcpu: 0, run: }
  - {at: 3 s, vcpu: 0, rdtsc: before}
  - {at: 3 s, migrate: {to: b, with: qemu/migrate, downtime: 200 ms, clock_gap: 3 ms}}
  - {at: 4 s, vcpu: 0, rdtsc: after}
expect:
  - {after - before: {is: 800 ms}}
YAML
sed 's/^name: moved/name: kept/; s/is: 800 ms/is: 1 s/' moved.yaml >kept.yaml
says "1 held" check moved.yaml
run_tscsim check kept.yaml
want_status 1 "check kept.yaml"
# By another procedure nothing is lost: what held fails, what failed holds. clock_gap is not one of its parameters.
says "1 held" check kept.yaml --procedure documented/migrate
says "1 held" check kept.yaml --procedure qemu/migrate=documented/migrate
says "documented/migrate, line 7" run kept.yaml --procedure documented/migrate
run_tscsim check moved.yaml --procedure documented/migrate
want_status 1 "check moved.yaml --procedure documented/migrate"
run_tscsim check moved.yaml --procedure firecracker/restore=documented/migrate
want_status 2 "check with a procedure that replaces nothing"
run_tscsim check moved.yaml --procedure documented/migrte
want_status 2 "check with an unknown procedure"

# One's own, by path, beside the scenario and by folder; what KVM refuses is passed over only if it was said.
mkdir -p mine/my procedures
cat >mine/my/pause.yaml <<'YAML'
name: my/pause
title: A pause of the user's own
kind: pause
versions: any
facts: 2026-11
sources: [this test]
steps:
  - {at: begin, vcpu: all, kvmclock_ctrl: , may_fail: EINVAL}
  - {at: begin + 1 s, vcpu: all, run: }
YAML
cat >own.yaml <<'YAML'
name: own
timeline:
  - {at: 0 s, vcpu: 0, run: }
  - {at: 1 s, pause: {with: my/pause}}
  - {at: 2 s, vcpu: 0, rdtsc: a}
expect:
  - {a: {is: 2 s}}
YAML
run_tscsim check own.yaml
want_status 2 "check own.yaml without its procedure"
says "1 held" check own.yaml --procedures mine
says "my/pause" list procedures --procedures mine
sed 's#my/pause#./pause.yaml#' own.yaml >by-path.yaml
sed -i 's/^name: own/name: by-path/' by-path.yaml
sed 's#^name: my/pause#name: pause#; s/may_fail: EINVAL/may_fail: EIO/' mine/my/pause.yaml >pause.yaml
run_tscsim check by-path.yaml
want_status 1 "check by-path.yaml"
grep -qF "of pause, used at line 4," out.txt || wrong "a refused step of a procedure: $(head -c 500 out.txt)"
sed 's#^name: my/pause#name: pause#' mine/my/pause.yaml >pause.yaml
says "1 held" check by-path.yaml
cp pause.yaml procedures/pause.yaml
sed 's#\./pause.yaml#pause#; s/^name: by-path/name: beside/' by-path.yaml >beside.yaml
says "1 held" check beside.yaml
refuses_silently 2 "tscsim: --procedures nowhere: there is no such folder" check own.yaml --procedures nowhere
finish
