#!/usr/bin/env bash
# docs/figures.md from docs/figures.in.md: lines @check@ and @verify@ become what the program says today.
# Usage: scripts/figures.sh [TSCSIM] [OUTPUT]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tscsim=${1:-build/release/cli/tscsim}
output=${2:-docs/figures.md}
made=$(mktemp)
trap 'rm -f "$made"' EXIT
while IFS= read -r line; do
  case $line in
    @check@) "$tscsim" check --brief ;;
    @verify@) "$tscsim" verify tests/recordings/*.jsonl* --brief ;;
    *) printf '%s\n' "$line" ;;
  esac
done <docs/figures.in.md >"$made"
cp "$made" "$output"
