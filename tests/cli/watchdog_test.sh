#!/usr/bin/env bash
# Everything ends: every subcommand is given a job that takes long and is interrupted by SIGINT, by SIGTERM, and by both at once. It
# ends within a second (of its own: interrupted.cpp says how that is measured) with status 130, orderly, and keeps what it has
# finished. Not here: `list`, `explain` and `merge`, whose work no input makes long; `doctor`, which takes a moment; a cross-check
# in the lab, which lab_interrupt_test.sh interrupts.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
interrupted=$4 # interrupted.cpp
at_once=$(($(nproc) + 1))

loaded() { awk -v most="$((2 * $(nproc)))" '{exit !($1 > most)}' /proc/loadavg; }

# beside FUNCTION ARG...: in a folder of its own (case*), beside others; what it says is told by finish_all. The files of all are in ../.
beside() {
  while (($(jobs -rp | wc -l) >= at_once)); do wait -n; done
  cases=$((cases + 1))
  local folder=$work/case$cases
  mkdir "$folder"
  (cd "$folder" && failures=0 && "$@" && exit "$failures") >"$folder/said" 2>&1 || : >"$folder/failed" &
}

finish_all() {
  wait
  failures=$(find . -name failed | wc -l)
  cat case*/said
  finish
}

# interrupt SIGNAL CPU_MS ARG...: see interrupted.cpp. The program's patience is measured by the wall's clock: where the CPUs are wanted
# by many others, it may be over before a command has got to where it hears, and gets another try.
interrupt() {
  local said try
  for try in 1 2 3; do
    rm -f new.*
    said=$("$interrupted" "$1" "$2" "$tscsim" "${@:3}") || wrong "tscsim ${*:3}, $1 after $2 ms: $said"
    grep -q 'ended where it was' err.txt && loaded || return 0
  done
}

interrupt_orderly() {
  interrupt "$@"
  [[ $(tail -n 1 err.txt) =~ interrupted ]] || wrong "tscsim ${*:3} and $1: says $(tail -n 1 err.txt)"
  grep -q 'ended where it was' err.txt && wrong "tscsim ${*:3} and $1: did not hear the signal"
  [[ -z $(find . -name '*.tmp') ]] || wrong "tscsim ${*:3} and $1: leaves $(find . -name '*.tmp')"
  [[ -e new.jsonl ]] && wrong "tscsim ${*:3} and $1: keeps a part as if it were the whole"
  return 0
}

# orderly CPU_MS ARG...: by each signal.
orderly() {
  beside interrupt_orderly INT "$@"
  beside interrupt_orderly TERM "$@"
  beside interrupt TWICE "$@"
}

cat >days.yaml <<'END'
name: days
title: Six days of a Linux guest
source: a test of the command line
vm: {vcpus: 1, guest: {kernel: 6.12}}
timeline:
  - {at: 0 s, vcpu: 0, rdtsc: a}
  - {at: 6 d, vcpu: 0, rdtsc: b}
expect:
  - {b: {at_least: a}}
END
# write_reads NAME MS: of all clocks of two vCPUs, every 10 us.
write_reads() {
  cat >"$1.yaml" <<END
name: $1
title: Many reads
source: a test of the command line
vm: {vcpus: 2, kvmclock: on}
timeline:
  - {at: 0 s, sample: {every: 10 us, for: $2 ms}}
expect:
  - {tsc_jump: {of: all, at_most: 10 s}}
END
}
# twice_as_long FILE TIMES: so often.
twice_as_long() {
  for ((i = 0; i < $2; ++i)); do cat "$1" "$1" >doubled && mv doubled "$1"; done
}
write_reads many 40
write_reads more 120
write_scenario slow 60
cp "$source_dir/tests/cases/hostile/three.yaml" .
mkdir slow
for i in {1..20}; do sed "s/^name: slow/name: slow-$i/" slow.yaml >"slow/slow-$i.yaml"; done
run_tscsim record many.yaml --on model -o many.jsonl
want_status 0 "record many.yaml"
cp many.jsonl long.jsonl
twice_as_long long.jsonl 2
run_tscsim export ftrace many.yaml
want_status 0 "export ftrace many.yaml"
cp out.txt long.txt
twice_as_long long.txt 14
mkfifo pipe.jsonl
exec {held}<>pipe.jsonl # or opening it for reading would wait, too
((failures == 0)) || finish

for command in run check verdict lint stats "export ftrace" "compare --kernels 6.1,6.12"; do
  # shellcheck disable=SC2086  # words
  orderly 150 $command ../days.yaml
done
orderly 150 record ../more.yaml --on model -o new.jsonl
orderly 100 guest-pauses
orderly 150 evaluate --runs 100000000
orderly 150 hunt --property model-agrees-with-itself --runs 100000000
orderly 200 sweep ../three.yaml --runs 100000000000 --vary 'timeline.1.at=uniform(5 s, 15 s)' --db new.db --resume
orderly 200 sweep ../many.yaml --runs 100000 --vary 'timeline.1.at=uniform(0 s, 1 s)' --db new.db --resume

# Recordings and logs: while they are read, and while it is looked into.
for command in verify verdict lint stats "export ftrace"; do
  # shellcheck disable=SC2086  # words
  orderly 150 $command ../long.jsonl
done
for command in verify verdict lint; do orderly 900 $command ../many.jsonl; done
orderly 150 import ftrace ../long.txt

# What was finished is kept: the first file is told.
check_keeps() {
  interrupt INT 400 check ../slow.yaml ../days.yaml
  grep -q '^passed   slow ' out.txt || wrong "check: the first file is lost: $(cat out.txt)"
}
run_keeps() {
  interrupt INT 400 run ../slow.yaml ../days.yaml --format json
  "$one_object" held=1 <out.txt || wrong "run --format json: the first file is lost"
}
beside check_keeps
beside run_keeps

# One that waits for input that does not come hears nothing, and is ended as it stands.
waits_for_input() {
  interrupt INT 50 verify ../pipe.jsonl
  grep -q 'interrupted, and ended where it was' err.txt || wrong "verify of a pipe: says $(cat err.txt)"
}
beside waits_for_input
beside interrupt TWICE 50 verify ../pipe.jsonl

orderly 100 trace -o new.jsonl -- sleep 1000
if have_kvm; then
  orderly 100 record ../slow.yaml --on native -o new.jsonl
  orderly 100 crosscheck ../slow.yaml --on native
  orderly 100 crosscheck ../slow --on native
  orderly 100 crosscheck ../many.yaml --on native
else
  echo "not tried: native runs (/dev/kvm cannot be opened here)"
fi
if have_kvm && "$tscsim" lab list | grep -qE '^lab:amd-6.12 .*fetched$' && [[ -x $(dirname "$tscsim")/tscsim-init ]]; then
  orderly 200 lab boot amd-6.12 -- sleep 1000
  orderly 200 record ../slow.yaml --on lab:amd-6.12 -o new.jsonl
else
  echo "not tried: a boot in the lab (lab:amd-6.12 is not fetched, or there is no tscsim-init)"
fi
finish_all
