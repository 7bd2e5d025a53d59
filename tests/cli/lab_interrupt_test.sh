#!/usr/bin/env bash
# A cross-check in the lab that is interrupted keeps what ran to its end, says that it is incomplete, and ends at once.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

target=lab:amd-6.12
"$tscsim" lab list | grep -qE "^$target .*fetched$" || skip "$target is not fetched: tscsim lab fetch $target"
[[ -x $(dirname "$tscsim")/tscsim-init ]] || skip "tscsim-init is not built here (sanitizers cannot be linked statically)"

# Forty in one boot: the first are done long before the last.
mkdir many tmp
for number in $(seq 10 49); do
  write_scenario "many-$number" 1
  sed -i 's/^expect:/  - {at: 1 s, sample: {every: 1 ms, for: 200 ms, read: [rdtsc]}}\nexpect:/' "many-$number.yaml"
  mv "many-$number.yaml" many/
done

# interrupts SIGNAL ARG...: when three programs have run to their end. The exit status in `status`.
interrupts() {
  local signal=$1
  shift
  cases=$((cases + 1))
  rm -rf tmp/*
  TMPDIR=$work/tmp "$tscsim" crosscheck many --on "$target" "$@" >out.txt 2>err.txt &
  local pid=$! done=0
  while ((done < 3)) && kill -0 "$pid" 2>/dev/null; do
    done=$(cat tmp/*/results 2>/dev/null | grep -c '^{"type":"end"')
    sleep 0.05
  done
  local began=${EPOCHREALTIME/./}
  kill "-$signal" "$pid" || wrong "it ended before the signal came"
  status=0
  wait "$pid" || status=$?
  local took=$(((${EPOCHREALTIME/./} - began) / 1000))
  want_status 130 "crosscheck $* and $signal"
  ((took <= 3000)) || wrong "it went on for $took ms after $signal"
  [[ $(tail -n 1 err.txt) == "tscsim: interrupted" ]] || wrong "the last line: $(tail -n 1 err.txt)"
  [[ -z $(ls tmp) ]] || wrong "left behind: $(ls tmp)"
}

interrupts INT --keep kept.jsonl.xz --junit new.xml --format json
"$one_object" complete=false left exact agree <out.txt || wrong "JSON: see above"
grep -q '<error type="interrupted" message="interrupted, [0-9]* not run to the end' new.xml || wrong "JUnit: $(head -c 500 new.xml)"
kept=$(xz -dc kept.jsonl.xz | grep -c '^{"type":"end"')
((kept >= 3 && kept < 40)) || wrong "$kept recordings were kept"
run_tscsim verify kept.jsonl.xz
want_status 0 "verify of what was kept"
[[ $(grep -c '^agree ' out.txt) -eq $kept ]] || wrong "verify compares $(grep -c '^agree ' out.txt) of $kept"

interrupts TERM
grep -qE '^agree +many-10 ' out.txt || wrong "the first that was finished is not reported: $(cat out.txt)"
tail -n 1 out.txt | grep -qE '; incomplete: interrupted, [0-9]+ not run to the end' || wrong "the last line: $(tail -n 1 out.txt)"
finish
