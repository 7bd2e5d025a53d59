#!/usr/bin/env bash
# The fuzzer finds the faults of a faulty reader, keeps their inputs and finds them again; and each target is a test.
# Usage: notices_test.sh TSCSIM_FUZZ CTEST_FILE
set -euo pipefail
fuzzer=$1 tests=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "$*"
  exit 1
}

declare -A first
for seed in $(seq 1 200); do
  status=0
  "$fuzzer" run faulty --seed "$seed" --executions 500 --keep "$work" --patience 1 >"$work/out" 2>&1 || status=$?
  [[ $status -eq 1 ]] || continue
  kept=$(ls "$work"/faulty-"$seed"-*)
  letter=$(head -c 1 "$kept")
  [[ -z ${first[$letter]:-} ]] || continue
  first[$letter]=$kept
  grep -q '^again tscsim_fuzz run faulty --seed' "$work/out" || fail "it does not say how to find it again"
  status=0
  "$fuzzer" replay faulty "$kept" --patience 1 >/dev/null 2>&1 || status=$?
  [[ $status -eq 1 ]] || fail "replaying what was found does not find it"
  [[ ${#first[@]} -lt 4 ]] || break
done
for letter in c t p l; do [[ -n ${first[$letter]:-} ]] || fail "a fault was not found: $letter"; done

"$fuzzer" list | cut -d' ' -f1 | while read -r target; do
  # CMake writes the name bare, in quotes or in brackets.
  grep -q "[^a-z-]fuzz_$target[^a-z-]" "$tests" || fail "the target $target is no test in tests/fuzz/CMakeLists.txt"
done
