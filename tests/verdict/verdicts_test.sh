#!/usr/bin/env bash
# What verdict and lint say of every shipped scenario, every stored recording and every case here: one line each in
# NAME.expected. TSCSIM_UPDATE_GOLDEN=1 rewrites them; read the difference: each line is a claim about a VM.
# Besides: no number of any verdict is made of ignorance.
# Usage: verdicts_test.sh TSCSIM SOURCE_DIR.
set -uo pipefail
tscsim=$1
cd "$2" || exit 1
here=tests/verdict

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

wrong() {
  echo "WRONG: $1"
  status=1
}

recordings() { find tests/recordings -maxdepth 1 \( -name '*.jsonl' -o -name '*.jsonl.xz' \) | LC_ALL=C sort; }
cases() { find $here/cases -type f | LC_ALL=C sort; }

# lines NAME PATH...: one line for each, whatever the exit status.
lines() {
  local name=$1
  shift
  "$tscsim" verdict --line "$@" >"$work/$name" 2>&1
}

# Places of lint's findings, in recordings of VMMs that somebody else wrote.
findings() {
  "$tscsim" lint "$@" 2>&1 | sed "s#^$PWD/##" |
    sed -nE 's/^([^ ].*: (error|warning|note|not decidable): [a-z0-9-]+):.*/\1/p'
}

golden() {
  local name=$1 expected=$here/$1.expected
  if [[ ${TSCSIM_UPDATE_GOLDEN:-0} == 1 ]]; then
    cp "$work/$name" "$expected"
    return
  fi
  diff -u --label "$expected" --label "found" "$expected" "$work/$name" || wrong "$name differs"
}

mapfile -t stored < <(recordings)
mapfile -t own < <(cases)
lines scenarios scenarios
lines recordings "${stored[@]}"
lines cases "${own[@]}"
findings tests/recordings/qemu-*.jsonl "${own[@]}" >"$work/findings"
for name in scenarios recordings cases findings; do golden $name; done

# An interval that became everything is not to be told as a number, nor what is not known as being fine. A TSC that was written
# 2^63 is as far ahead: clocks and the ends of intervals never are.
"$tscsim" verdict --all "${stored[@]}" "${own[@]}" >"$work/all" 2>&1
boundless='(kvmclock|VM clock|split|ran early).*(9_223_37[0-9]|18_446_74[0-9])|\+- (9_223_37|18_446_74)'
grep -nE "$boundless" "$work/all" | head -5 | grep . && wrong "an unbounded interval is told as a number"
grep -nE '([0-9.]+ [mun]?s) \+- \1' "$work/all" | head -5 | grep . && wrong "a middle is told whose ends are as far as 0"
[[ $(grep -c 'kvmclock' "$work/all") -gt 50 ]] || wrong "the verdicts of the recordings are not there"

[[ $status -eq 0 ]] && echo "$(cat "$work"/{scenarios,recordings,cases} | wc -l) verdicts as expected"
exit $status
