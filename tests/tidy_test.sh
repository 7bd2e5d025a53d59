#!/usr/bin/env bash
# clang-tidy on the sources: tidy_test.sh SOURCE_DIR BUILD_DIR changed|all
#   changed: those that differ from the commit in tests/tidy_since, the last one whose sources nobody looked at (./test)
#   all: every source, ten minutes of two processors (./test --all)
# First shows on a bad source that it can fail.
set -euo pipefail
cd "$1"
build=$2
which=$3
clang_tidy=$(command -v clang-tidy-14 || true)
if [[ -z $clang_tidy ]]; then
  echo "skipped: clang-tidy-14 is missing (Debian package clang-tidy-14)"
  exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# clang reads neither gcc's precompiled headers nor the names of gcc's warnings.
sed -E 's/ -Winvalid-pch -include [^ ]+cmake_pch\.hxx/ /; s/ -Wno-(restrict|stringop-overflow|array-bounds|maybe-uninitialized)//g' \
  "$build/compile_commands.json" >"$work/compile_commands.json"

cat >"$work/bad.cpp" <<'END'
#include <string>
std::string moved_from(std::string a) { std::string b = std::move(a); return a + b; }
END
if "$clang_tidy" --quiet --config-file=.clang-tidy "$work/bad.cpp" -- -std=c++20 >/dev/null 2>&1; then
  echo "this test does not notice a use after a move"
  exit 1
fi

sources() {
  if [[ $which == all ]]; then
    git ls-files '*.cpp'
  else
    git diff --name-only --diff-filter=d "$(<tests/tidy_since)" -- '*.cpp'
  fi
}
if [[ $which != all ]] && ! git cat-file -e "$(<tests/tidy_since)^{commit}" 2>/dev/null; then
  echo "skipped: the commit in tests/tidy_since is not in this clone, so what changed since is not known; ./test --all looks at all"
  exit 77
fi
# What the build compiles: a generated database has no entry for the rest.
mapfile -t files < <(sources | while read -r file; do grep -qF "\"$PWD/$file\"" "$work/compile_commands.json" && echo "$file"; done)
if [[ ${#files[@]} -eq 0 ]]; then
  echo "no source has changed since $(<tests/tidy_since)"
  exit 0
fi
printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P 2 "$clang_tidy" -p "$work" --quiet 2>"$work/notices" ||
  { grep -v 'warnings generated' "$work/notices" || true; echo "clang-tidy found the above"; exit 1; }
echo "${#files[@]} sources are clean"
