#!/usr/bin/env bash
# The same answers from another compiler at another optimisation level: builds tscsim with the presets gcc-O0 and
# clang-O3 (in build/) and compares `check --format json` and every scenario's recording byte for byte.
# Takes minutes.
# Usage: determinism_test.sh [SOURCE_DIR]. Exit 77: there is no clang++.
set -euo pipefail
source_dir=$(cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" && pwd)
cd "$source_dir"

command -v clang++ >/dev/null || { echo "skipped: there is no clang++ (package clang)"; exit 77; }
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for preset in gcc-O0 clang-O3; do
  cmake --preset "$preset" >/dev/null
  ninja -C "build/$preset" --quiet cli/tscsim
done

scenarios() { find scenarios \( -name refused -o -name testdata -o -name procedures \) -prune -o -name '*.yaml' -print | LC_ALL=C sort; }

for preset in gcc-O0 clang-O3; do
  mkdir "$work/$preset"
  "build/$preset/cli/tscsim" check --format json >"$work/$preset/check.json"
  for kernel in 4.9 5.10 6.1 6.12; do  # other rules than the scenarios' own; not all expectations hold there
    "build/$preset/cli/tscsim" check --format json --kernel "$kernel" >"$work/$preset/check-$kernel.json" 2>/dev/null || true
  done
  for file in $(scenarios); do
    "build/$preset/cli/tscsim" record "$file" --on model -o "$work/$preset/$(basename "$file" .yaml).jsonl" >/dev/null
  done
done

# The comparison itself must be able to fail.
cp -r "$work/gcc-O0" "$work/changed"
echo >>"$work/changed/check.json"
if diff -rq "$work/gcc-O0" "$work/changed" >/dev/null; then
  echo "this test does not notice a difference"
  exit 1
fi

diff -r "$work/gcc-O0" "$work/clang-O3" >"$work/difference" || {
  head -n 40 "$work/difference"
  echo "gcc -O0 and clang -O3 disagree"
  exit 1
}
echo "$(find "$work/gcc-O0" -type f | wc -l) outputs are the same from gcc -O0 and clang -O3"
