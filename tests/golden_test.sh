#!/usr/bin/env bash
# Every shipped scenario's replay on the model, word for word: NAME.expected beside NAME.yaml is what
# `tscsim run NAME.yaml` prints. TSCSIM_UPDATE_GOLDEN=1 rewrites the files; review the difference like code.
# Usage: golden_test.sh TSCSIM SOURCE_DIR. First shows that a changed replay would be noticed.
set -euo pipefail
tscsim=$1
cd "$2"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

scenarios() { find scenarios \( -name refused -o -name testdata -o -name procedures \) -prune -o -name '*.yaml' -print | LC_ALL=C sort; }

# replay FILE: what `run` prints, whatever its exit status; a crash shows as a missing fingerprint.
replay() { "$tscsim" run "$1" 2>&1 || true; }

# differs FILE EXPECTED: prints the difference; false when there is none.
differs() {
  replay "$1" >"$work/found"
  ! diff -u --label "$2" --label "tscsim run $1" "$2" "$work/found"
}

self_test() {
  local first
  first=$(scenarios | sed -n 1p)  # not head: it would leave sort with a closed pipe
  replay "$first" | sed 's/fingerprint /fingerprint x/' >"$work/wrong"
  if ! differs "$first" "$work/wrong" >/dev/null; then
    echo "this test does not notice a changed replay"
    exit 1
  fi
}

update() {
  local file
  for file in $(scenarios); do
    replay "$file" >"$work/found"
    mv "$work/found" "${file%.yaml}.expected"
  done
  echo "$(scenarios | wc -l) golden files written"
}

self_test
if [[ ${TSCSIM_UPDATE_GOLDEN:-0} == 1 ]]; then
  update
  exit 0
fi

status=0
for file in $(scenarios); do
  golden=${file%.yaml}.expected
  if [[ ! -f $golden ]]; then
    echo "$golden: missing"
    status=1
  elif differs "$file" "$golden"; then
    status=1
  fi
done
for golden in $(find scenarios \( -name refused -o -name testdata -o -name procedures \) -prune -o -name '*.expected' -print); do
  if [[ ! -f ${golden%.expected}.yaml ]]; then
    echo "$golden: its scenario is gone"
    status=1
  fi
done
if [[ $status -ne 0 ]]; then
  echo "mend the cause, or rewrite the golden files: TSCSIM_UPDATE_GOLDEN=1 ctest --test-dir BUILD -R golden"
  exit 1
fi
echo "$(scenarios | wc -l) replays as expected"
