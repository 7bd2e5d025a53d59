#!/usr/bin/env bash
# Do two boots of a lab machine give the same bytes, also on a busy machine? Boots pairs of them (lab_test.cpp,
# TwoBootsGiveTheSameBytes) beside a compiler and disk writes, and counts.
#   two_boots.sh LAB_TESTS PAIRS MINUTES [TARGET...]
#     LAB_TESTS   the program, build/release/kvm_backend/lab_tests
#     PAIRS       of each target; MINUTES: no pair is begun after that
#     TARGET      amd-5.10, amd-6.1, amd-6.12, amd-7.2 (all of them when none is named), fetched already
#   AT_ONCE=N     pairs at a time (2)
#   LOAD=0        without the load, where the machine has enough of its own
#   COUNTS=FILE   one line for each pair; what stands there already counts, so that a run goes on where it was stopped
# Logs of pairs that were not the same are kept beside COUNTS. Exit status: 0 all were the same, 1 one was not (or did
# not run to its end), 3 time was up before.
set -euo pipefail

lab_tests=$(realpath "${1:?LAB_TESTS}") pairs=${2:?PAIRS} minutes=${3:?MINUTES}
shift 3
targets=("$@")
((${#targets[@]})) || targets=(amd-5.10 amd-6.1 amd-6.12 amd-7.2)
at_once=${AT_ONCE:-2} load=${LOAD:-1} counts=$(realpath "${COUNTS:-two-boots.counts}")
until_s=$((SECONDS + minutes * 60))
work=$(mktemp -d)
touch "$counts"

# The number of the target's tests, as gtest counts its parameters.
index_of() {
  "$lab_tests" --gtest_list_tests --gtest_filter='*TwoBootsGiveTheSameBytes/*' |
    sed -n "s|.*TwoBootsGiveTheSameBytes/\([0-9]*\) .*\"$1\".*|\1|p"
}

compile_and_write() {
  while [[ -d $work ]]; do
    timeout 60 g++ -std=c++20 -O2 -fsyntax-only -x c++ - <<<'#include <algorithm>
#include <functional>
#include <regex>
int main() {}' || true
    timeout 60 dd if=/dev/zero of="$work/zero" bs=1M count=200 conv=fsync || true
  done >/dev/null 2>&1
}

finish() {
  rm -rf "$work"
  wait
}
trap finish EXIT
trap 'exit 130' INT TERM

count() { grep -c "^$1 $2\$" "$counts" || true; }

# one_pair TARGET INDEX: a line in $counts. What was never compared is no pair. In a session of its own, which the
# scheduler gives a share of its own: beside much other work pairs of one session starve.
one_pair() {
  local log=$work/$BASHPID.log outcome
  if setsid -w "$lab_tests" --gtest_filter="*TwoBootsGiveTheSameBytes/$2" >"$log" 2>&1 && ! grep -q SKIPPED "$log"; then
    outcome=same
  elif grep -q 'Expected equality' "$log"; then
    outcome=differ
  else
    outcome=broken
  fi
  echo "$1 $outcome" >>"$counts"
  [[ $outcome == same ]] || cp "$log" "$counts.$1.$outcome.$BASHPID.log"
}

run_pairs() {
  local target=$1 index begun
  index=$(index_of "$target")
  [[ -n $index ]] || { echo "$target is no target of $lab_tests" >&2; exit 2; }
  begun=$(grep -c "^$target " "$counts" || true)
  while ((begun < pairs && SECONDS < until_s)); do
    while (($(jobs -rp | wc -l) >= at_once + load)); do wait -n || true; done
    one_pair "$target" "$index" &
    begun=$((begun + 1))
  done
}

((load)) && compile_and_write &
load=$((load ? 1 : 0))
for target in "${targets[@]}"; do run_pairs "$target"; done
while (($(jobs -rp | wc -l) > load)); do wait -n || true; done

status=0
for target in "${targets[@]}"; do
  same=$(count "$target" same) differ=$(count "$target" differ) broken=$(count "$target" broken)
  echo "$target: $same of $((same + differ + broken)) pairs the same, $differ differ, $broken did not run to their end"
  ((differ + broken == 0)) || status=1
  ((status == 1 || same >= pairs)) || status=3
done
exit "$status"
