#!/usr/bin/env bash
# docs/evaluation.md is what the program says; a scorecard does not depend on threads, and another seed gives another one.
#   evaluation_test.sh TSCSIM SOURCE_DIR
set -euo pipefail
tscsim=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'FAIL: %s\n' "$*"; exit 1; }

"$source/scripts/page.sh" evaluation "$tscsim" >"$work/evaluation.md"
if [[ -n ${TSCSIM_UPDATE_GOLDEN:-} ]]; then cp "$work/evaluation.md" "$source/docs/evaluation.md"; fi
diff -u "$source/docs/evaluation.md" "$work/evaluation.md" || fail "docs/evaluation.md is not what the program says (scripts/page.sh makes it)"

cd "$source"
for threads in 1 2; do "$tscsim" evaluate --runs 3000 --threads "$threads" --format csv >"$work/$threads.csv" 2>/dev/null; done
cmp "$work/1.csv" "$work/2.csv" || fail "two threads make another scorecard"
"$tscsim" evaluate --runs 3000 --seed 2 --format csv >"$work/other.csv" 2>/dev/null
! cmp -s "$work/1.csv" "$work/other.csv" || fail "the seed does not matter"
[[ $(wc -l <"$work/1.csv") -eq $((1 + 11 * $(ls scenarios/evaluation/*.yaml | wc -l))) ]] || fail "a policy or situation is missing"

refused() {
  local status=0
  "$tscsim" evaluate "${@:2}" >/dev/null 2>"$work/err" || status=$?
  [[ $status -eq 2 ]] && grep -qF -- "$1" "$work/err" || { cat "$work/err"; fail "evaluate ${*:2}: not refused with '$1'"; }
}
refused "does not say what is meant" scenarios/thread
refused "nevr" --heuristic nevr
refused "leaves no policy" --only
refused "at least one" --runs 0
echo "the evaluation holds"
