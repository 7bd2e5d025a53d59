#!/usr/bin/env bash
# docs/figures.md is what the program says today; docs/promises.md names files and tests that exist; every command of README
# and docs/commands.md exists. Usage: figures_test.sh TSCSIM SOURCE_DIR. First shows that it can fail.
set -euo pipefail
tscsim=$1
cd "$2"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
wrong() { echo "WRONG: $1"; failed=1; }

scripts/page.sh figures "$tscsim" >"$work/figures.md"
diff docs/figures.md "$work/figures.md" || wrong "docs/figures.md is of another day; mend: scripts/page.sh figures TSCSIM >docs/figures.md"
sed 's/[0-9] passed/x passed/' docs/figures.md | cmp -s - "$work/figures.md" && wrong "this test does not notice a wrong figure"

# missing_evidence FILE: files and tests that a table of promises names and that are not there.
missing_evidence() {
  grep -oE '`[a-zA-Z0-9_./*-]+/[a-zA-Z0-9_.*-]*`' "$1" | tr -d '`' | sort -u | while read -r path; do
    compgen -G "$path" >/dev/null || echo "$path"
  done
  grep -E '^\|' "$1" | grep -oE '_test\.cpp`,? [A-Z][A-Za-z]+(, [A-Z][A-Za-z]+)*' | sed 's/^_test.cpp`,\{0,1\} //' | tr -d ',' | tr ' ' '\n' | sort -u |
    while read -r name; do grep -rqwF --include='*_test.cpp' "$name" . || echo "the test $name"; done
}
[[ -z $(missing_evidence docs/promises.md) ]] || wrong "docs/promises.md names what is not there: $(missing_evidence docs/promises.md | tr '\n' ' ')"
printf '| a | `tests/nowhere_test.sh` |\n| b | `ops/recording_test.cpp` NoSuchTestAnywhere |\n' >"$work/promises.md"
[[ $(missing_evidence "$work/promises.md" | wc -l) -eq 2 ]] || wrong "this test does not notice a promise that nothing holds: $(missing_evidence "$work/promises.md")"

for command in $(grep -ohE '`tscsim [a-z-]+' docs/commands.md | cut -d' ' -f2 | sort -u) $(sed -nE 's/^\.\/run ([a-z-]+) .*/\1/p' README.md | sort -u); do
  "$tscsim" "$command" --help >/dev/null || wrong "there is no command $command"
done
for file in $(grep -oE '\]\((docs|bench)/[^)#]*' README.md | sed 's/^](//'); do [[ -e $file ]] || wrong "README names $file"; done
exit "$failed"
