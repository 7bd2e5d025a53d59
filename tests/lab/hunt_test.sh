#!/usr/bin/env bash
# A short hunt on one target of the lab, with a seed of its own.
# Usage: hunt_test.sh TSCSIM TARGET RUNS. Exit 77: the target cannot be had here; says why.
set -uo pipefail
tscsim=$1 target=$2 runs=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

status=0
"$tscsim" hunt --on "$target" --runs "$runs" --seed 77 >out.txt 2>err.txt || status=$?
if [[ $status -eq 3 ]]; then
  echo "skipped: $target is not available: $(tail -n 5 err.txt)"
  exit 77
fi
cat out.txt
[[ $status -eq 0 ]] || cat err.txt found/*.yaml
exit "$status"
