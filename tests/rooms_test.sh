#!/usr/bin/env bash
# Rules of the house that the compiler does not hold:
#   - no include path with '..', which would get around the rooms' include directories;
#   - no floating point in base/, sim/ and model/, whose results are the same on every compiler (tests are free);
#   - every script parses.
# Usage: rooms_test.sh SOURCE_DIR. First shows on a small bad tree that each rule can fail.
set -euo pipefail

# sources DIR...: C++ files below them.
sources() { find "$@" \( -name build -o -name .git -o -name out \) -prune -o -type f \( -name '*.h' -o -name '*.inl' -o -name '*.cpp' -o -name '*.cc' \) -print; }

dotted_includes() {
  sources . | while read -r file; do
    grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]*\.\.' "$file" || true
  done
}

floating_point() {
  local room
  for room in base sim model; do
    [[ -d $room ]] || continue
    sources "$room" | { grep -vE '_test\.(cpp|cc)$' || true; } | while read -r file; do
      sed 's://.*$::' "$file" | grep -nwE 'float|double|long double' | sed "s|^|$file:|" || true
    done
  done
}

scripts() {
  find . \( -name build -o -name .git -o -name out \) -prune -o -type f -size -256k -print | while read -r file; do
    if [[ $file == *.sh ]] || head -c 64 "$file" | head -n 1 | tr -d '\0' | grep -qE '^#!.*\b(ba)?sh\b'; then
      echo "$file"
    fi
  done
}

broken_scripts() {
  scripts | while read -r file; do bash -n "$file" 2>&1 || true; done
}

# problems DIR: one line each.
problems() (
  cd "$1"
  dotted_includes | sed 's/$/: include path with ".."/'
  floating_point | sed 's/$/: floating point in an integer room/'
  broken_scripts
)

expect_problem() {
  local rule=$1
  if [[ $(problems "$tree" | wc -l) -eq 0 ]]; then
    echo "this test does not notice: $rule"
    exit 1
  fi
  rm -r "${tree:?}"/*
}

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

self_test() {
  mkdir "$tree/sim" && echo '#include "../model/x.h"' >"$tree/sim/a.cpp"
  expect_problem "an include path with '..'"
  mkdir "$tree/sim" && echo 'double x;' >"$tree/sim/a.h"
  expect_problem "a double in sim/"
  mkdir "$tree/base" && echo 'float x;' >"$tree/base/a.cpp"
  expect_problem "a float in base/"
  mkdir -p "$tree/model/kvm" && echo 'int f(float x);' >"$tree/model/kvm/a.cpp"
  expect_problem "a float in a folder of model/"
  mkdir -p "$tree/model/kvm" && echo 'double f(double x);' >"$tree/model/kvm/a.inl"
  expect_problem "a double in an .inl of model/"
  mkdir -p "$tree/model/kvm" && echo '#include "../../sim/time.h"' >"$tree/model/kvm/a.inl"
  expect_problem "an include path with '..' in an .inl"
  printf '#!/bin/bash\nif then\n' >"$tree/run"
  expect_problem "a script that does not parse"
  mkdir "$tree/sim" && echo '// no float here' >"$tree/sim/a.h" && echo 'double x;' >"$tree/sim/a_test.cpp"
  if [[ -n $(problems "$tree") ]]; then
    echo "this test complains about a good tree:"
    problems "$tree"
    exit 1
  fi
}

self_test
found=$(problems "$1")
if [[ -n $found ]]; then
  echo "$found"
  exit 1
fi
echo "the rooms hold"
