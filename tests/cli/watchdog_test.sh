#!/usr/bin/env bash
# Everything ends: every subcommand is given a job that takes long and is interrupted by SIGINT, by SIGTERM, and by both at once. It
# ends within a second (of its own: interrupted.cpp says how that is measured) with status 130, orderly, and keeps what it has
# finished. Not here: `list`, `explain` and `merge`, whose work no input makes long; `doctor`, which takes a moment.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
interrupted=$4 # interrupted.cpp

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
cat >many.yaml <<'END'
name: many
title: Many reads
source: a test of the command line
vm: {vcpus: 2, kvmclock: on}
timeline:
  - {at: 0 s, sample: {every: 10 us, for: 40 ms}}
expect:
  - {tsc_jump: {at_most: 10 s}}
END
write_scenario slow 60
cp "$source_dir/tests/cases/hostile/three.yaml" .

# ends SIGNAL CPU_MS ARG...: see interrupted.cpp.
ends() {
  local said
  cases=$((cases + 1))
  said=$("$interrupted" "$1" "$2" "$tscsim" "${@:3}") || wrong "tscsim ${*:3}, $1 after $2 ms: $said"
}

# orderly CPU_MS ARG...: by each signal.
orderly() {
  local signal
  for signal in INT TERM; do
    rm -f new.* found/*
    ends "$signal" "$@"
    [[ $(tail -n 1 err.txt) =~ interrupted ]] || wrong "tscsim ${*:2} and $signal: says $(tail -n 1 err.txt)"
    grep -q 'ended where it was' err.txt && wrong "tscsim ${*:2} and $signal: did not hear the signal"
    [[ -z $(find . -name '*.tmp') ]] || wrong "tscsim ${*:2} and $signal: leaves $(find . -name '*.tmp')"
  done
  ends TWICE "$@"
}

for command in run check verdict lint stats "export ftrace" "compare --kernels 6.1,6.12"; do
  # shellcheck disable=SC2086  # words
  orderly 200 $command days.yaml
done
orderly 200 record days.yaml --on model -o new.jsonl
[[ -e new.jsonl ]] && wrong "record: keeps a part as if it were the whole"
orderly 200 guest-pauses
orderly 200 evaluate --runs 100000000
orderly 200 hunt --property model-agrees-with-itself --runs 100000000
orderly 300 sweep three.yaml --runs 100000000000 --vary 'timeline.1.at=uniform(5 s, 15 s)' --db new.db --resume
orderly 300 sweep days.yaml --runs 1000 --vary 'timeline.1.at=uniform(5 d, 6 d)' --db new.db2 --resume

# What was finished is kept: check's first file is told.
ends INT 400 check slow.yaml days.yaml
grep -q '^passed   slow ' out.txt || wrong "check: the first file is lost: $(cat out.txt)"
ends INT 400 run slow.yaml days.yaml --format json
"$one_object" held=1 <out.txt || wrong "run --format json: the first file is lost"

# Recordings and logs.
run_tscsim record many.yaml --on model -o many.jsonl
want_status 0 "record many.yaml"
for i in {1..20}; do cat many.jsonl; done >long.jsonl
for command in verify verdict lint stats "export ftrace"; do
  # shellcheck disable=SC2086  # words
  orderly 200 $command long.jsonl
done
run_tscsim export ftrace many.yaml
for i in {1..60}; do cat out.txt; done >long.txt
[[ $(wc -l <long.txt) -gt 1000 ]] && orderly 100 import ftrace long.txt

# One that waits for input that does not come hears nothing, and is ended as it stands.
mkfifo pipe.jsonl
sleep 1000 >pipe.jsonl &
writer=$!
ends INT 50 verify pipe.jsonl
grep -q 'interrupted, and ended where it was' err.txt || wrong "verify of a pipe: says $(cat err.txt)"
ends TWICE 50 verify pipe.jsonl
kill "$writer"

orderly 100 trace -o new.jsonl -- sleep 1000
if have_kvm; then
  orderly 100 record slow.yaml --on native -o new.jsonl
  orderly 100 crosscheck slow.yaml --on native
else
  echo "not tried: native runs (/dev/kvm cannot be opened here)"
fi
if have_kvm && "$tscsim" lab list | grep -qE '^lab:amd-6.12 .*fetched$' && [[ -x $(dirname "$tscsim")/tscsim-init ]]; then
  orderly 200 lab boot amd-6.12 -- sleep 1000
  orderly 200 record slow.yaml --on lab:amd-6.12 -o new.jsonl
else
  echo "not tried: a boot in the lab (lab:amd-6.12 is not fetched, or there is no tscsim-init)"
fi
finish
