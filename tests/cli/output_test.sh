#!/usr/bin/env bash
# Output that cannot be written: a missing folder, a full disk, a folder in the way. Never half a file.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

write_scenario good 1
mkdir folder
nothing_left() {
  local left
  left=$(find . -name '*.tmp' -o -name '*.xml' -o -name '*.jsonl' | head -n 3)
  [[ -z $left ]] || wrong "left behind: $left"
}

missing="error: there is no folder 'missing'
  mend: make the folder, or name another file"
refuses_silently 2 "missing/x.jsonl: $missing" record good.yaml --on model -o missing/x.jsonl
refuses_silently 2 "missing/x.xml: $missing" check good.yaml --junit missing/x.xml
refuses_silently 2 "missing/x.xml: $missing" crosscheck good.yaml --junit missing/x.xml
refuses_silently 2 "missing/x.xml: $missing" verify good.jsonl --junit missing/x.xml
refuses_silently 2 "folder: error: cannot be written: Is a directory" record good.yaml --on model -o folder
nothing_left

if [[ -c /dev/full ]]; then
  refuses_silently 2 "/dev/full: error: cannot be written: No space left on device" record good.yaml --on model -o /dev/full
  for command in "check good.yaml" "run good.yaml" "check good.yaml --format json" "list kernels" "--help"; do
    cases=$((cases + 1))
    status=0
    # shellcheck disable=SC2086  # words
    "$tscsim" $command >/dev/full 2>err.txt || status=$?
    want_status 2 "$command >/dev/full"
    [[ $(cat err.txt) == "tscsim: standard output cannot be written" ]] || wrong "$command >/dev/full: $(cat err.txt)"
  done
fi

# A device is written to, not replaced.
run_tscsim record good.yaml --on model -o /dev/null
want_status 0 "record -o /dev/null"
[[ -c /dev/null ]] || wrong "/dev/null is no device any more"

run_tscsim record good.yaml --on model -o good.jsonl
want_status 0 "record"
cp good.jsonl before.jsonl
run_tscsim record good.yaml --on model -o good.jsonl
cmp -s good.jsonl before.jsonl || wrong "the same run gives another recording"
[[ -z $(find . -name '*.tmp') ]] || wrong "a draft is left behind"
finish
