#!/usr/bin/env bash
# Recordings that are cut, of another version, of another scenario, or no recordings at all.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

write_scenario one 1
write_scenario two 2
run_tscsim record one.yaml --on model -o one.jsonl
want_status 0 "record"
lines=$(wc -l <one.jsonl)
counts='exact bracketed=0 undecided=0 mismatch=0 unsupported=0'

wants_object 0 "$counts" verify one.jsonl
wants_object 0 "$counts" verify one.jsonl --scenario one.yaml

# As KVM's tracepoints print it. A recording without trace events says so.
run_tscsim export ftrace one.yaml
want_status 0 "export ftrace one.yaml"
grep -qxF '             vmm-1       [000] ..... 9360000000000: kvm_track_tsc: vcpu_id 0 masterclock 0 offsetmatched 0 nr_online 1 hostclock tsc' \
  "$work/out.txt" || wrong "export ftrace: no line of kvm_track_tsc"
wants_object 0 'count=2' export ftrace one.yaml two.yaml
refuses_silently 2 "one.jsonl: error: the recording of 'one' on model holds no trace events
  mend: record it in the lab without --no-trace, or give the scenario" export ftrace one.jsonl
refuses_silently 2 "tscsim: cannot export 'ftrac'; did you mean 'ftrace'?" export ftrac one.jsonl

head -c -20 one.jsonl >cut.jsonl
refuses_silently 2 "cut.jsonl:$lines: error: the recording is cut: the last line is not complete
  mend: take the whole file again from where it was recorded" verify cut.jsonl
head -n 3 one.jsonl >cut.jsonl
refuses_silently 2 "cut.jsonl:3: error: the recording is cut: there is no end line
  mend: take the whole file again from where it was recorded" verify cut.jsonl
sed 3d one.jsonl >cut.jsonl
refuses_silently 2 "cut.jsonl:$((lines - 1)): error: the recording is cut: it had $((lines - 2)) entries, here are $((lines - 3))
  mend: take the whole file again from where it was recorded" verify cut.jsonl
: >empty.jsonl
refuses_silently 2 "empty.jsonl: error: the recording is empty
  mend: take the whole file again from where it was recorded" verify empty.jsonl
sed '1s/"version":1/"version":2/' one.jsonl >newer.jsonl
refuses_silently 2 "newer.jsonl:1: error: recording version 2, this program reads version 1
  mend: record again with this program" verify newer.jsonl
cat one.jsonl one.jsonl >twice.jsonl
run_tscsim verify twice.jsonl
want_status 0 "verify twice.jsonl"
[[ $(grep -c '^agree' "$work/out.txt") == 2 ]] || wrong "a file with two recordings is not verified as two"
refuses_silently 2 "one.yaml:1: error: not JSON" verify one.yaml
refuses_silently 2 "nofile.jsonl: error: cannot be read: No such file or directory" verify nofile.jsonl
mkdir folder
refuses_silently 2 "folder: error: holds no recording
  mend: recordings are files that end in .jsonl or .jsonl.xz" verify folder
head -c 10485760 /dev/zero | tr '\0' 'a' >big.jsonl
refuses_silently 2 "big.jsonl: error: the line is longer than any in a recording" verify big.jsonl

hash_in() { head -n 1 "$1" | grep -o '"scenario_hash":"[0-9a-f]*"' | cut -d'"' -f4; }
run_tscsim record two.yaml --on model -o two.jsonl
refuses_silently 2 "one.jsonl:1: error: this is a recording of 'one' with hash $(hash_in one.jsonl), not of 'two' with hash $(hash_in two.jsonl)
  mend: record the scenario again, or name the file it was recorded from" verify one.jsonl --scenario two.yaml

# A value that KVM cannot have returned: exit status 1, and the explanation names it.
sed '/"kind":"rdtsc"/s/"fields":{"value":"[0-9]*"}/"fields":{"value":"1"}/' one.jsonl >forged.jsonl
wants_object 1 'mismatch=1 undecided=0' verify forged.jsonl
finish
