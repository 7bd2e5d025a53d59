#!/usr/bin/env bash
# docs/bugs.md and scenarios/bugs/ agree: each of K1 to K46 stands in the table once, each scenario in one row, a row's
# scenario exists, names the same K and the same commits, and says its kernels.
# Usage: bugs_test.sh SOURCE_DIR. First shows that a wrong table would be noticed.
set -euo pipefail
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check TABLE: what is wrong with it, one line each.
check() {
  local table=$1 number name row file commit
  for number in $(seq 1 46); do
    [[ $(grep -c "^| $number |" "$table") == 1 ]] || echo "K$number does not stand in the table once"
  done
  for file in scenarios/bugs/*.yaml; do
    name=$(basename "$file" .yaml)
    [[ $(grep -c "^| [0-9]* | $name |" "$table") == 1 ]] || echo "$name does not stand in the table once"
    grep -Eq '^(kernels|since):' "$file" || echo "$name does not say its kernels"
  done
  while IFS= read -r row; do
    [[ $row =~ ^\|\ ([0-9]+)\ \|\ ([a-z0-9-]+-[a-z0-9-]+)\ \| ]] || continue
    number=${BASH_REMATCH[1]} name=${BASH_REMATCH[2]} file=scenarios/bugs/${BASH_REMATCH[2]}.yaml
    [[ -f $file ]] || { echo "K$number: there is no $file"; continue; }
    grep -Eq "(^|[^A-Za-z0-9])K$number([^0-9]|$)" "$file" || echo "$name does not name K$number"
    for commit in $(grep -Eo '[0-9a-f]{12}' <<<"$row"); do
      grep -q "$commit" "$file" || echo "$name does not name $commit"
    done
  done <"$table"
}

sed -e '0,/young-guest-loses-its-tsc |/s//young-guest-is-gone |/' -e 's/^| 9 /| 99 /' -e 's/7f187922ddf6/0123456789ab/' docs/bugs.md >"$work/wrong.md"
if [[ $(check "$work/wrong.md" | wc -l) -lt 4 ]]; then
  echo "this test does not notice a wrong table"
  exit 1
fi
check docs/bugs.md >"$work/faults"
cat "$work/faults"
[[ ! -s $work/faults ]] || exit 1
echo "$(ls scenarios/bugs/*.yaml | wc -l) scenarios and 46 numbers agree"
