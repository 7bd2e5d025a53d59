#!/usr/bin/env bash
# Instructions of one migration: callgrind's count of 3000 runs minus that of 1000, divided by 2000. The count repeats
# exactly, whatever else the machine does.
# Usage: bench/instructions.sh [build/release/bench/tscsim_migrations]. Needs valgrind.
set -euo pipefail
program=${1:-build/release/bench/tscsim_migrations}
command -v valgrind >/dev/null || { echo "needs valgrind (Debian package valgrind)" >&2; exit 3; }
count() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 | sed -n 's/.*Collected : //p'
}
for way in by-value by-offsets; do
  few=$(count "$way" 1000)
  many=$(count "$way" 3000)
  echo "$way: $(((many - few) / 2000)) instructions for each migration of $("$program" "$way" 1 | cut -d, -f1)"
done
