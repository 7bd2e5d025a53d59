#!/usr/bin/env bash
# Prints docs/PAGE.md: docs/PAGE.in.md with each line '@tscsim ARGS' replaced by the command and what it prints.
#   scripts/page.sh evaluation TSCSIM >docs/evaluation.md
#   scripts/page.sh figures TSCSIM >docs/figures.md
set -euo pipefail
tscsim=$(realpath "$2")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
page=$root/docs/$1.in.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$root/scenarios" "$root/tests" "$work/"
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
done <"$page"
