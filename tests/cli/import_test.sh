#!/usr/bin/env bash
# tscsim import: real logs and what they say (tests/logs/*.expected; UPDATE=1 rewrites them), and bad ones.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

source_of() {
  case $1 in
    *perf*) echo perf ;;
    *strace*) echo strace ;;
    *) echo ftrace ;;
  esac
}

logs=$source_dir/tests/logs
for log in "$logs"/*.txt; do
  name=$(basename "$log" .txt)
  cp "$log" .
  run_tscsim import "$(source_of "$name")" "$name.txt" -o "$name.jsonl"
  want_status 0 "import $name"
  [[ -n ${UPDATE:-} ]] && cp out.txt "$logs/$name.expected"
  if ! cmp -s out.txt "$logs/$name.expected"; then
    wrong "$name says something else (<: as it is, >: as it should be)"
    diff out.txt "$logs/$name.expected" | head -n 20
  fi
  [[ -s $name.jsonl ]] || wrong "$name: no recording"
done

# The expectations can fail: one vCPU's offset is another.
sed 's/vcpu=1 prev=0 next=/vcpu=1 prev=0 next=9/' tcg-6.12-trace.txt >other.txt
mv other.txt tcg-6.12-trace.txt
run_tscsim import ftrace tcg-6.12-trace.txt
cmp -s out.txt "$logs/tcg-6.12-trace.expected" && wrong "another offset is not noticed"

wants_object 0 "recordings partial" import ftrace qemu-two-vms-tgid.txt
grep -q '"recordings": 2' out.txt || wrong "two processes are two VMs"

# What was only seen is not verified.
refuses 2 "error: the recording of 'qemu-strace.txt' was made from outside (strace): what was asked of KVM is not known, so nothing can be verified
  mend: 'tscsim import' explains what it shows" verify qemu-strace.jsonl

# Two processes at once, with and without process ids: the same events go to the same VM.
for log in qemu-two-vms-tgid qemu-two-vms-no-tgid; do
  grep -o '"event":.*' "$log.jsonl" >"$log.events"
done
cmp -s qemu-two-vms-tgid.events qemu-two-vms-no-tgid.events || wrong "without process ids the VMs are told apart in another way"

event='  vmm-1 [000] ..... 1.100000: kvm_write_tsc_offset: vcpu=0 prev=0 next=5000'
refuses_silently 2 "missing.txt: error: cannot be read: No such file or directory" import ftrace missing.txt
refuses_silently 2 "tscsim: cannot import 'ftrac'; did you mean 'ftrace'?" import ftrac x.txt
refuses_silently 2 "tscsim: 'import ftrace' needs the log" import ftrace
: >empty.txt
refuses_silently 2 "empty.txt: error: the log is empty
  mend: record them: trace-cmd record -e kvm:kvm_write_tsc_offset -e kvm:kvm_track_tsc -e kvm:kvm_update_master_clock -e kvm:kvm_pvclock_update" import ftrace empty.txt
refuses_silently 2 "empty.txt: error: the log is empty
  mend: strace -f -y -ttt -T -e trace=ioctl -o LOG VMM" import strace empty.txt
printf '\x17\x08\x44tracing6\0' >trace.dat
refuses_silently 2 "trace.dat: error: is a trace.dat of trace-cmd, which is binary
  mend: give the text: trace-cmd report FILE > LOG" import ftrace trace.dat
head -c 64 "$tscsim" >program
refuses_silently 2 "program: error: is a program
  mend: give the text that the recorder wrote" import strace program
wrong_line=${event/nex*/nxt=5000}
echo "$wrong_line" >wrong.txt
refuses_silently 2 "wrong.txt:1:66: error: kvm_write_tsc_offset: expected ' next='
    ${wrong_line#  }
                                                                   ^
  mend: the line was left out" import ftrace wrong.txt
refuses_silently 2 "qemu-strace.txt:$(wc -l <qemu-strace.txt): error: expected a trace, found a log of strace
    $(grep -m1 ioctl qemu-strace.txt | head -c 200 | head -c 160)
  mend: tscsim import strace qemu-strace.txt" import ftrace qemu-strace.txt

# Half a log is half a recording, and says so.
printf '%s\n%s' "$event" "${event%000}" >cut.txt
run_tscsim import ftrace cut.txt -o cut.jsonl
want_status 0 "import of a cut log"
[[ $(grep -c '"type":"entry"' cut.jsonl) -eq 1 ]] || wrong "the cut line was taken, or the whole one was not"
grep -q '^cut.txt:2:73: error: expected the end of the line' err.txt || wrong "the cut line is not named: $(cat err.txt)"
tail -n 1 err.txt | grep -qx 'notice: the log was imported in part: 1 lines left out, 0 events lost by the recorder' || wrong "no notice: $(cat err.txt)"
finish
