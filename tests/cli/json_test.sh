#!/usr/bin/env bash
# With --format json, standard output is exactly one JSON object with a member `summary`.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

write_scenario good 1
recording=$(find "$source_dir/tests/recordings" -name '*.jsonl' | sort | head -n 1)

wants_object 0 'passed failed=0 errors=0 skipped' check
wants_object 0 'passed=1 failed=0 errors=0 skipped=0' check good.yaml
wants_object 0 'held=1 failed=0' run good.yaml
wants_object 0 'exact bracketed undecided=0 mismatch=0 unsupported' verify "$recording"
wants_object 0 'entries fingerprint' record good.yaml --on model -o good.jsonl
wants_object 0 'count=1' stats "$source_dir/scenarios/kvmclock/invariant-across-vcpus.yaml"
wants_object 0 'count' stats "$recording"
for subject in scenarios kernels guests heuristics operations metrics; do
  wants_object 0 'count' list $subject
done
for name in 6.12 guest-6.8 window set_clock tsc_skew; do
  wants_object 0 'kind name' explain $name
done
finish
