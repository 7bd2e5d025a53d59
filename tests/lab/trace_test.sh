#!/usr/bin/env bash
# A VMM that is not ours, recorded in the lab: KVM there honours TSC offsets, and the model derives what it returned.
# Usage: trace_test.sh TSCSIM TARGET VMM (tests/tracer/tiny_vmm.cpp, static). Exit 77: the target cannot be had here.
set -uo pipefail
tscsim=$1 target=$2 vmm=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

status=0
"$tscsim" trace --on "$target" -o rec.jsonl -- "$vmm" all-calls >out.txt 2>err.txt || status=$?
if [[ $status -eq 3 ]]; then
  echo "skipped: $target is not available: $(tail -n 5 err.txt)"
  exit 77
fi
[[ $status -eq 0 ]] || { cat err.txt out.txt; exit 1; }
[[ $(wc -l <rec.jsonl) -eq 25 ]] || { echo "not 23 operations:"; cat rec.jsonl; exit 1; }
grep -q '"honours_tsc_offset":true' rec.jsonl || { echo "offsets are not honoured"; exit 1; }
grep -q "\"target\":\"lab:" rec.jsonl || { echo "the target is not told"; exit 1; }
"$tscsim" verify rec.jsonl
