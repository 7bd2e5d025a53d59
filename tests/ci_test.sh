#!/usr/bin/env bash
# The commands of action.yml and docs/ci/gitlab-ci.yml run, as they stand there: ci_test.sh SOURCE_DIR TSCSIM STATIC_VMM.
# What the two leave to others is put in: inputs, apt-get (which is a stand-in that says what it was asked for).
set -euo pipefail
source_dir=$1
tscsim=$2
vmm=$3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/home" "$work/job/my-scenarios" "$work/job/build"
ln -s "$tscsim" "$work/bin/tscsim"
# The lab's own calls go through: they have a configuration of their own (-o Dir=...).
printf '#!/bin/sh\ncase "$*" in *Dir*) exec %s "$@" ;; esac\necho "$@" >>%s\n' "$(command -v apt-get || echo false)" "$work/apt.log" >"$work/bin/apt-get"
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
chmod +x "$work/bin/apt-get" "$work/bin/sudo"
cp "$source_dir"/scenarios/thread/write-joins-within-a-second.yaml "$work/job/my-scenarios/"
cp "$vmm" "$work/job/build/my-vmm"
ln -s "$source_dir" "$work/job/tscsim"
mkdir -p "$work/home/.cache/tscsim/package" && touch "$work/home/.cache/tscsim/package/tscsim_0.deb"
export TSCSIM_LAB_CACHE=${TSCSIM_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tscsim/lab}
lab=1
"$tscsim" lab fetch amd-6.12 >/dev/null 2>&1 || lab=0

failed=0
ran=0
# run_line LINE: one command of a workflow, in its job's folder.
run_line() {
  local status=0
  if [[ $lab -eq 0 && ($1 == *crosscheck* || $1 == *' vmm '*) ]]; then
    echo "not run, no kernel can be had: $1"
    return
  fi
  (cd "$work/job" && env -u XDG_CACHE_HOME HOME="$work/home" PATH="$work/bin:$PATH" bash -c "$1") >"$work/out" 2>&1 || status=$?
  ran=$((ran + 1))
  if [[ $status -ne 0 ]]; then
    echo "FAILED (exit status $status): $1"
    tail -n 8 "$work/out"
    failed=1
  fi
}

# action.yml: its `run:` lines with the inputs of docs/ci/github-actions.yml put in.
input() { sed -n "s/^ *$1: *\([^#]*[^# ]\).*/\1/p" "$source_dir/docs/ci/github-actions.yml" | tail -n 1; }
while read -r line; do
  line=${line//'${{ github.action_path }}'/tscsim}
  line=${line//'${{ inputs.reports }}'/$(input reports)}
  line=${line//'${{ inputs.scenarios }}'/$(input scenarios)}
  line=${line//'${{ inputs.targets }}'/lab:amd-6.12}  # one of them, for time
  line=${line//'${{ inputs.vmm-target }}'/lab:amd-6.12}
  line=${line//'${{ inputs.vmm }}'/./build/my-vmm all-calls}
  [[ $line != *'${{'* ]] || { echo "FAILED: an input that is not put in: $line"; failed=1; continue; }
  run_line "$line"
done < <(sed -n 's/^ *run: *//p' "$source_dir/action.yml")
for report in check.xml $([[ $lab -eq 1 ]] && echo crosscheck.xml recordings.jsonl.xz lint.sarif); do
  [[ -s $work/job/tscsim-reports/$report ]] || { echo "FAILED: action.yml left no $report"; failed=1; }
done
rm -rf "$work/job/tscsim-reports"

# gitlab-ci.yml: its list items, but for the clone.
while read -r line; do
  [[ $line == *'git clone'* ]] && continue
  line=${line//lab:5.10,lab:6.12/lab:amd-6.12}
  run_line "${line/--config my-guest.json/all-calls}"
done < <(sed -n 's/^    - //p' "$source_dir/docs/ci/gitlab-ci.yml")

if [[ $ran -lt 5 ]]; then
  echo "FAILED: only $ran commands were found"
  failed=1
fi
grep -q 'tscsim_0.deb' "$work/apt.log" || { echo "FAILED: the package was not installed"; failed=1; }
# No name that an artefact store refuses.
bad=$(find "$work/job" -name '*[:"<>|*?]*' | head -n 3)
[[ -z $bad ]] || { echo "FAILED: file names that artefact stores refuse: $bad"; failed=1; }
[[ $failed -eq 0 ]] && echo "$ran commands ran"
exit "$failed"
