#!/usr/bin/env bash
# A machine of the lab that dies takes its own scenarios along and no other machine's, and what was lost is no pass.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

target=lab:amd-6.12
"$tscsim" lab list | grep -qE "^$target .*fetched$" || skip "$target is not fetched: tscsim lab fetch $target"
[[ -x $(dirname "$tscsim")/tscsim-init ]] || skip "tscsim-init is not built here (sanitizers cannot be linked statically)"

write_scenario usual 1
write_scenario slow 1
echo 'host: {tsc: 1.5 GHz}' >>slow.yaml

# kill_one_child PID: the first child that it has, once.
kill_one_child() {
  local child=""
  while [[ -z $child ]] && kill -0 "$1" 2>/dev/null; do
    child=$(cat "/proc/$1/task/"*/children 2>/dev/null | tr ' ' '\n' | head -n 1)
    sleep 0.02
  done
  kill -KILL "$child"
}

# crosscheck_with_a_death FILE...: standard output in out.txt, the exit status in `status`.
crosscheck_with_a_death() {
  cases=$((cases + 1))
  status=0
  "$tscsim" crosscheck "$@" --on "$target" >out.txt 2>err.txt &
  local pid=$!
  kill_one_child "$pid"
  wait "$pid" || status=$?
}

crosscheck_with_a_death usual.yaml slow.yaml
want_status 3 "crosscheck of two scenarios, a machine of which was killed"
[[ $(grep -cE '^agree ' out.txt) -eq 1 ]] || wrong "the other machine's scenario: $(cat out.txt)"
grep -qE '^not run +(usual|slow) +lab:amd-6.12: the machine ended with status 137' out.txt || wrong "the dead machine's: $(cat out.txt)"
grep -qF '; 1 scenarios not run, 1 of them because a machine died or did not come up' out.txt || wrong "the last line: $(tail -n 1 out.txt)"

crosscheck_with_a_death usual.yaml
want_status 3 "crosscheck on a machine that was killed"
[[ -s out.txt ]] && wrong "nothing ran, and standard output has $(cat out.txt)"
grep -qF 'lab:amd-6.12: the machine ended with status 137' err.txt || wrong "standard error: $(cat err.txt)"
finish
