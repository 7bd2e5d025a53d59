#!/usr/bin/env bash
# Shipped scenarios on one target of the lab: no mismatch, no failed expectation, and something was compared.
# Usage: crosscheck_test.sh TSCSIM TARGET FOLDER... Exit 77: the target cannot be had here; says why.
set -uo pipefail
tscsim=$1 target=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

status=0
"$tscsim" crosscheck "$@" --on "$target" >out.txt 2>err.txt || status=$?
if [[ $status -eq 3 ]]; then
  echo "skipped: $target is not available: $(tail -n 5 err.txt)"
  exit 77
fi
tail -n 1 out.txt
if [[ $status -ne 0 ]]; then
  grep -A 12 -E '^(DISAGREE|FAILED)' out.txt
  cat err.txt
  exit 1
fi
exact=$(tail -n 1 out.txt | cut -d' ' -f1)
[[ $exact -ge 1000 ]] || { echo "only $exact exact observations"; exit 1; }
