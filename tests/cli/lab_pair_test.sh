#!/usr/bin/env bash
# A guest moves between two lab machines of different kernels, and the model derives what both KVMs returned. What two
# machines cannot do one after the other is said, with the step.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for target in lab:amd-6.1 lab:amd-6.12; do
  "$tscsim" lab list | grep -qE "^$target .*fetched$" || skip "$target is not fetched: tscsim lab fetch $target"
done
[[ -x $(dirname "$tscsim")/tscsim-init ]] || skip "tscsim-init is not built here (sanitizers cannot be linked statically)"

cat >there-and-back.yaml <<'EOF'
name: there-and-back
hosts:
  a: {kernel: 6.1}
  b: {kernel: 6.12}
timeline:
  - {at: 0 ms, transfer: {from: a, to: b}}
  - {at: 1 ms, vcpu: 0, rdtsc: t}
  - {at: 2 ms, transfer: {from: b, to: a}}
EOF

migration=$source_dir/scenarios/migration/documented-offsets.yaml
cases=$((cases + 1))
status=0
"$tscsim" crosscheck "$migration" there-and-back.yaml --on lab:6.1+lab:6.12 >out.txt 2>err.txt || status=$?
want_status 0 "crosscheck on two machines"
grep -qE '^agree +documented-offsets +[23][0-9]{2} exact, [0-9]+ bracketed, 0 undecided, 0 mismatch, 0 unsupported' out.txt ||
  wrong "documented-offsets: $(cat out.txt err.txt)"
grep -qE "^not run +there-and-back +load_memory on host 'a' needs what host 'b' did" out.txt ||
  wrong "there-and-back: $(cat out.txt)"
for target in "lab:amd-6.1: Linux 6.1." "lab:amd-6.12: Linux 6.12."; do
  grep -qF "target $target" err.txt || wrong "no '$target' in $(cat err.txt)"
done
finish
