#!/usr/bin/env bash
# The translation units that took longest when they were last compiled, and the sum: scripts/dearest.sh [BUILD-FOLDER [COUNT]].
# Wall seconds from ninja's own log; compile with nothing beside it for figures that mean something.
set -euo pipefail
log=${1:-$(dirname "${BASH_SOURCE[0]}")/../build/release}/.ninja_log
[[ -f $log ]] || { echo "there is no $log: build first" >&2; exit 2; }
awk -F'\t' 'NR > 1 && $4 ~ /\.(o|gch)$/ { took[$4] = ($2 - $1) / 1000 }
  END { for (unit in took) printf "%8.1f s  %s\n", took[unit], unit }' "$log" | sort -rn | {
  sum=$(mktemp); trap 'rm -f "$sum"' EXIT
  tee "$sum" | head -n "${2:-10}"
  awk '{ s += $1 } END { printf "%8.1f s  all %d\n", s, NR }' "$sum"
}
