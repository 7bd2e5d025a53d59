#!/usr/bin/env bash
# tscsim trace: what it refuses, how it ends, what it leaves, and that verify reads it. The fourth argument is a VMM for tests
# (tests/tracer/tiny_vmm.cpp).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
vmm=$4
have_kvm || skip "/dev/kvm cannot be opened here"

example="example: tscsim trace -o qemu.jsonl -- qemu-system-x86_64 -accel kvm -display none"
refuses_silently 2 "tscsim: 'trace' needs a command behind --, or the --pid of a process
$example" trace
refuses_silently 2 "tscsim: 'trace' needs a command behind --, or the --pid of a process
$example" trace --pid 1 -- true
refuses_silently 2 "tscsim: --with is auto, shim or ptrace, not 'shin'; did you mean 'shim'?" trace --with shin -- true
refuses_silently 2 "tscsim: nothing can be preloaded into a process that runs already; leave --with out" trace --with shim --pid 1
refuses_silently 2 "error: 'nowhere' cannot be started: No such file or directory
  mend: give the path of a program, or the name of one that is in PATH" trace -- nowhere
refuses_silently 1 "tscsim: true ended with status 0
tscsim: no VM was created, so that there is nothing to keep" trace --with shim -- true
[[ -e trace.jsonl ]] && wrong "an empty recording was written"

# traces STATUS VMS CUT ARG...: the recording is there, has as many VMs, ends as it should and is what the model derives.
traces() {
  local wanted=$1 vms=$2 cut=$3
  shift 3
  rm -f rec.jsonl
  run_tscsim trace -o rec.jsonl "$@"
  want_status "$wanted" "trace $*"
  [[ $(grep -c '"type":"header"' rec.jsonl) -eq $vms ]] || wrong "tscsim trace $*: not $vms VMs"
  tail -n 1 rec.jsonl | grep -q "\"cut\":\"$cut" || [[ -z $cut && $(tail -n 1 rec.jsonl) != *cut* ]] ||
    wrong "tscsim trace $*: ends with $(tail -n 1 rec.jsonl)"
  run_tscsim verify rec.jsonl
  want_status 0 "verify of trace $*"
}

for way in shim ptrace; do
  traces 0 1 "" --with "$way" -- "$vmm" all-calls
  traces 0 3 "" --with "$way" -- "$vmm" several-vms
  traces 1 1 "the command was killed by signal 11" --with "$way" -- "$vmm" crash
  traces 1 1 "the command was killed by signal 9" --with "$way" -- sh -c "exec '$vmm' killed"
done

run_tscsim trace -o rec.jsonl.xz -- "$vmm" threads
want_status 0 "trace -o rec.jsonl.xz"
run_tscsim verify rec.jsonl.xz
want_status 0 "verify rec.jsonl.xz"

# What stands behind -- is the command's: --format comes before.
run_tscsim trace --format json -o rec.jsonl -- "$vmm" all-calls
want_status 0 "trace --format json"
"$one_object" vms=1 command_status=0 <out.txt || wrong "trace --format json: see above"
run_tscsim trace --format json -o rec.jsonl -- "$vmm" status-3
want_status 1 "trace --format json of a command that fails"
"$one_object" vms=0 command_status=3 <out.txt || wrong "trace --format json of a command that fails: see above"
finish
