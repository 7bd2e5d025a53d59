#!/usr/bin/env bash
# Prints docs/evaluation.md: docs/evaluation.in.md with each line '@tscsim ARGS' replaced by the command and what it prints.
#   scripts/evaluation.sh TSCSIM >docs/evaluation.md
set -euo pipefail
tscsim=$(realpath "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$root/scenarios" "$work/scenarios"
cd "$work"
while IFS= read -r line; do
  case $line in
    '@tscsim '*)
      command=${line#@tscsim }
      printf '`tscsim %s`\n\n' "$command"
      rm -rf ./*.db ./*.worst
      if [[ $command == *markdown* ]]; then eval "\"$tscsim\" $command" 2>/dev/null
      else printf '```\n'; eval "\"$tscsim\" $command" 2>/dev/null; printf '```\n'; fi
      ;;
    *) printf '%s\n' "$line" ;;
  esac
done <"$root/docs/evaluation.in.md"
