#!/usr/bin/env bash
# `tscsim explain` answers for each name that an output prints: they are collected from outputs, so a new one that nobody
# has explained fails here. E1 to E15 and K1 to K46 say what their pages say.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The goldens: rules, operations, what came of an expectation, registers, events of the guest.
goldens() { find "$source_dir/scenarios" \( -name refused -o -name testdata \) -prune -o -name '*.expected' -print0 | xargs -0 cat; }
goldens >goldens.txt
{
  sed -nE 's/^ {8,}  by (.*)/\1/p' goldens.txt | sed 's/; /\n/g' | grep -xE '[a-z0-9-]+'
  sed -nE 's/^ +[0-9a-z-]+( [a-z]+)?  ([a-z]+: )?(vcpu [0-9]+ )?([a-z][a-z_0-9]*_[a-z_0-9]*)( .*|$)/\4/p' goldens.txt
  grep -oE '\b(IA32|MSR_KVM|HV_X64_MSR)_[A-Z_]+' goldens.txt
  sed -nE 's/^ +[0-9a-z ]+ guest, vcpu [0-9]+: ([a-z_]+).*/\1/p' goldens.txt
  sed -nE 's/^  (held|failed|unsure|not run)  .*/\1/p' goldens.txt
  echo fingerprint
} >names.txt

# Verdicts: the labels of their lines, the kind of disturbance, errors, findings.
verdicts() {
  "$tscsim" verdict --all "$source_dir"/scenarios/vmm/cloud-hypervisor/interleaved-restore.yaml "$source_dir"/scenarios/vmm/qemu/*.yaml \
    "$source_dir"/scenarios/vmm/crosvm/*.yaml "$source_dir"/scenarios/host/suspend-tsc-continues.yaml
}
verdicts >verdicts.txt
{
  sed -nE 's/^   ([A-Za-z][A-Za-z ]{0,11}[a-z])  +[^ ].*/\1/p' verdicts.txt | sed 's/ *$//'
  sed -nE 's/^ *[0-9]+\. ([a-zA-Z ]+), .*/\1/p' verdicts.txt
  grep -owE 'E[0-9]+' verdicts.txt
  sed -nE 's/^   (cure)? +([a-z0-9-]+-[a-z0-9-]+): .*/\2/p' verdicts.txt
} >>names.txt

# Lint, import, the cross-check, an evaluation, a sweep.
"$tscsim" lint "$source_dir"/scenarios/lint/*-found.yaml >lint.txt || true
sed -nE 's/.*: (error|warning|note): ([a-z0-9-]+): .*/\1\n\2/p' lint.txt >>names.txt
grep -oE 'not decidable' lint.txt >>names.txt
sed -nE 's/^  ([a-z]+(-[a-z]+)+)  at .*/\1/p' "$source_dir"/tests/logs/*.expected >>names.txt
sed '/"kind":"rdtsc"/s/"fields":{"value":"[0-9]*"}/"fields":{"value":"1"}/' "$source_dir"/tests/recordings/creeping-window.jsonl >changed.jsonl
"$tscsim" verify "$source_dir"/tests/recordings/boot-writes-zero.jsonl changed.jsonl >verify.txt || true
sed -nE 's/^(agree|DISAGREE|not run) .*/\1/p' verify.txt >>names.txt
grep -E '^(agree|DISAGREE)' verify.txt | sed 's/.* \([0-9]* exact\)/\1/' | grep -oE '[0-9]+ [a-z]+( run)?' | sed 's/^[0-9]* //' >>names.txt
"$tscsim" check "$source_dir/scenarios/thread" | awk 'NF > 3 && $1 !~ /^[0-9]/ { print $1 }' >>names.txt
"$tscsim" evaluate --only --kernel 6.12 --runs 1 --format text | head -1 | sed -E 's/ {2,}/\n/g' >>names.txt
"$tscsim" sweep "$source_dir/scenarios/sweeps/live-migration.yaml" --runs 3 --db sweep.db >sweep.txt 2>&1
sed -nE 's/^  (least) .*/\1/p' sweep.txt >>names.txt
grep -oE ', (mean|p[0-9]+|greatest) ' sweep.txt | tr -d ', ' >>names.txt

# Recordings: fields of what came back, properties of the target, trace events.
cat "$source_dir"/tests/recordings/*.jsonl >recordings.txt
grep -oE '"fields": ?\{[^}]*\}' recordings.txt | grep -oE '"[a-z_]+":' | tr -d '":' | sort -u | grep -vx fields >>names.txt
grep -oE '"profile": ?\{[^{}]*\}' recordings.txt | sort -u | grep -oE '"[a-z_]+":' | tr -d '":' | grep -vx profile >>names.txt
grep -ohE '"kvm_[a-z_]+"' recordings.txt | sort -u | tr -d '"' >>names.txt

# What is listed.
for subject in kernels heuristics parameters operations metrics rules findings log-findings guest-events errors defects words; do
  "$tscsim" list $subject --format json | grep -oE '"name":"[^"]+"|"name": "[^"]+"' | sed -E 's/"name": ?"(.*)"/\1/' >"listed-$subject.txt"
  cat "listed-$subject.txt" >>names.txt
done

sort -u names.txt | grep -v '^$' >unique.txt
while IFS= read -r name; do
  run_tscsim explain "$name"
  want_status 0 "explain '$name'"
  [[ $(wc -l <out.txt) -ge 2 ]] || wrong "explain '$name' says nothing: $(cat out.txt)"
done <unique.txt
for name in exact bracketed undecided mismatch unsupported agree DISAGREE "not run" unsure held failed fingerprint joins-window E7 K36 \
  "ran early" split migration soft_lockup kvmclock-back IA32_TSC passed missed p50 tsc_timestamp honours_tsc_offset kvm_pvclock_update; do
  grep -qxF "$name" unique.txt || wrong "'$name' is not found in the outputs any more: this test no longer reads them"
done
refuses 2 "tscsim: nothing is called 'no-such-name'; see 'tscsim list'" explain no-such-name

# The errors' names and formulas are those of docs/verdict.md, the defects are the rows of docs/bugs.md.
for name in $(cat listed-errors.txt); do
  run_tscsim explain "$name"
  row=$(sed -nE "s/^\| $name \| (.*) \| (.*) \|$/\1|formula: \2/p" "$source_dir/docs/verdict.md")
  [[ "$(sed -n 2p out.txt)|$(sed -n 3p out.txt)" == "$row" ]] || wrong "docs/verdict.md has another $name: '$row'"
done
[[ $(wc -l <listed-errors.txt) -eq $(grep -cE '^\| E[0-9]+ ' "$source_dir/docs/verdict.md") ]] || wrong "docs/verdict.md has other errors"
diff <(sort listed-defects.txt) <(sed -nE 's/^\| ([0-9]+) \|.*/K\1/p' "$source_dir/docs/bugs.md" | sort) ||
  wrong "docs/bugs.md has other defects"
run_tscsim explain K36
grep -q '^shown by: scenarios/bugs/joined-value-is-remembered.yaml: ' out.txt || wrong "K36 names no scenario: $(cat out.txt)"
run_tscsim explain K5
grep -q '^not shown: ' out.txt || wrong "K5 does not say why it is not shown: $(cat out.txt)"

# A citation is read out as it is printed, in words of the shell or in one, and without its path.
run_tscsim explain docs/spec/kvm-timekeeping.md 3.2, 3.3 item 5
want_status 0 "explain a citation"
grep -q '^### 3.2 ' out.txt && grep -q '^5\. The window is measured' out.txt || wrong "a citation is not read out: $(head -c 300 out.txt)"
run_tscsim explain 'vmm-procedures 2.2a'
grep -q '^### 2.2 ' out.txt || wrong "a short citation is not read out: $(head -c 300 out.txt)"
run_tscsim explain docs/spec/kvm-timekeeping.md '99.9'
want_status 2 "explain a section that is not there"
finish
