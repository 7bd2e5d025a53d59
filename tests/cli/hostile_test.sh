#!/usr/bin/env bash
# Files that are wrong in themselves: one diagnostic with file and line, exit status 2, and nothing on standard output. What
# once crashed the program, hung it or was believed (tests/cases/hostile/README.md), with controls that are good.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cases_folder=$source_dir/tests/cases/hostile
cp "$cases_folder"/*.jsonl "$cases_folder"/*.yaml .
mend="mend: take the whole file again from where it was recorded, or record again"

# refused FILE FIRST_LINE: by every command that reads recordings.
refused() {
  local command
  for command in verify verdict lint stats "export ftrace"; do
    # shellcheck disable=SC2086  # `export ftrace` is two words
    run_tscsim $command "$1"
    want_status 2 "$command $1"
    [[ $(head -n 1 err.txt) == "$2" ]] || wrong "$command $1: says $(head -n 1 err.txt)"
    [[ $(sed -n 2p err.txt) == "  $mend" ]] || wrong "$command $1: gives no mend"
    [[ -s out.txt ]] && wrong "$command $1: writes $(head -c 200 out.txt)"
  done
}

refused h-vcpu.jsonl "h-vcpu.jsonl:53: error: op: 'rdtsc' acts on vCPU 63; expected vCPU 0 and 1, which were created before it"
refused h-nocreate.jsonl "h-nocreate.jsonl:2: error: op: 'get_tsc_offset' acts on a VM of host 0; expected a 'create_vm' there before it"
refused h-khz.jsonl "h-khz.jsonl:1: error: host 'a': host_khz 0; expected 1 to 2147483647"
refused h-load.jsonl "h-load.jsonl:52: error: op: 'load_memory' has 'msr'; expected none: it takes no such operand"
grep -q "h-load.jsonl:52: error: op: 'load_memory' takes the memory of host 7; expected a host that put its memory aside" err.txt ||
  wrong "h-load.jsonl: host 7 is passed over"
refused h-pcpu.jsonl "h-pcpu.jsonl:2: error: op: 'create_vm' ran on pCPU 2147483647; expected pCPU 0 of its host"
[[ $(grep -c ' error: ' err.txt) -eq 21 ]] || wrong "h-pcpu.jsonl: $(grep -c ' error: ' err.txt) faults are told, not 20 and their number"
refused h-vm.jsonl "h-vm.jsonl:52: error: op: 'get_msr' names no vCPU; expected one: it acts on a vCPU, not on the VM"
for file in basic.jsonl; do
  run_tscsim verify "$file"
  want_status 0 "verify $file"
done

refuses_silently 2 "no-vcpu.yaml:6:5: error: 'kvmclock' needs a vCPU
    - {at: 0 ms, kvmclock: on}
      ^
  mend: add 'vcpu: 0', 'vcpu: [0, 1]' or 'vcpu: all'" run no-vcpu.yaml
run_tscsim check no-vcpu.yaml
want_status 2 "check no-vcpu.yaml"

# The same slip with every other word, and others of its kind: a vCPU that there is not, none of a list, one of two.
slips=0
for word in "kvmclock: on" "steal_time: on" "hyperv_tsc_page: on" "rdtsc: a" "get_tsc_khz: k" "set_tsc_khz: 1 GHz" \
  "get_msr: MSR_KVM_SYSTEM_TIME_NEW, as: m" "set_msr: {MSR_KVM_SYSTEM_TIME_NEW: 1}" "wrmsr: {MSR_KVM_SYSTEM_TIME: 1}" \
  "wall_clock: w" "sample: {every: 1 ms, for: 2 ms, read: [pvclock]}" "move_vcpu: 0" "delay_vcpu: 1 ms" "run: " \
  "set_lapic: {timer: tsc_deadline}" "enter_l2: {offset: 1}" "read_clock: monotonic, as: c" "get_tsc_state: s"; do
  for where in "" "vcpu: 1, " "vcpu: 63, " "vcpu: 64, " "vcpu: [], " "vcpu: [0, 9], gap: 1 ms, " "vcpu: -1, " "vcpu: {}, "; do
    case "$word$where" in set_tsc_khz*GHz | get_tsc_khz*k | sample*\}) continue ;; esac # these may do without
    printf 'name: slip\ntitle: A slip\nsource: a test\nvm: {vcpus: 1}\ntimeline:\n  - {at: 0 ms, %s%s}\nexpect:\n  - {master_clock: on}\n' \
      "$where" "$word" >slip.yaml
    run_tscsim check slip.yaml
    slips=$((slips + 1))
    [[ $status -eq 2 ]] && grep -q '^slip.yaml:6:' err.txt || wrong "'$where$word': exit status $status, $(head -n 2 err.txt)"
  done
done
((slips > 100)) || wrong "only $slips slips were tried"

refuses_silently 2 "sleep-overflow.yaml:7:36: error: the host would wake beyond 292 years, where time ends
    - {at: 10 s, suspend_host: {for: 9223372030 s}}
                                     ^~~~~~~~~~~~
  mend: let it sleep for 9_223_372_026_854_775_807 ns at most" run sleep-overflow.yaml
for file in jumps long-sleep basic; do
  run_tscsim run $file.yaml
  want_status 0 "run $file.yaml"
done
# Two sleeps that are too long together, and what is due at the very end of time.
cat >two-sleeps.yaml <<'END'
name: two-sleeps
title: Two sleeps that are too long together
source: a test
vm: {vcpus: 1, kvmclock: on}
timeline:
  - {at: 1 s, suspend_host: {for: 60000 d}}
  - {at: 2 s, suspend_host: {for: 60000 d}}
expect:
  - {master_clock: on}
END
run_tscsim run two-sleeps.yaml
want_status 2 "run two-sleeps.yaml"
grep -q '^two-sleeps.yaml:7:35: error: the host would wake beyond 292 years' err.txt || wrong "two sleeps: $(cat err.txt)"
cat >end-of-time.yaml <<'END'
name: end-of-time
title: Reads at the last nanosecond that there is
source: a test
vm: {vcpus: 1, kvmclock: on}
timeline:
  - {at: 9223372036854775807 ns, vcpu: 0, rdtsc: a}
  - {at: 9223372036854775807 ns, vcpu: 0, read_pvclock: b}
expect:
  - {a: {at_least: 0}}
END
run_tscsim run end-of-time.yaml
want_status 0 "run end-of-time.yaml"

# Grids whose product passes 2^64, and a normal distribution of which the bounds leave nothing but one value.
grid='grid(0 ns, 4294967295 ns, 1 ns)'
run_tscsim sweep three.yaml --runs 100 --db grids.db --vary "timeline.1.at=$grid" --vary "timeline.2.at=$grid" --vary "timeline.3.at=$grid"
want_status 0 "sweep of three grids"
run_tscsim sweep three.yaml --runs 100 --db sliver.db --show 'at = b' \
  --vary 'timeline.1.at=normal(5 s, 1 ms, 5004000000 ns, 5004000000 ns)' --no-histograms
want_status 0 "sweep of a sliver"
finish
