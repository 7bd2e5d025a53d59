#!/usr/bin/env bash
# Wrong words on the command line: one message that names the word and the nearest one, exit status 2.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

write_scenario good 1
mkdir empty

refuses_silently 2 "tscsim: unknown command 'chek'; did you mean 'check'?" chek
refuses_silently 2 "tscsim: unknown command 'frobnicate'; 'tscsim --help' lists them" frobnicate
refuses_silently 2 "tscsim: 'check' has no option '--frmat'; did you mean '--format'?" check --frmat json
refuses_silently 2 "tscsim: 'check' has no option '--kernal'; did you mean '--kernel'?" check --kernal 6.1
refuses_silently 2 "tscsim: --format is text or json, not 'jsn'; did you mean 'json'?" check --format jsn
refuses_silently 2 "tscsim: unknown target 'natve'; did you mean 'native'?" crosscheck good.yaml --on natve
refuses_silently 2 "tscsim: unknown target 'natve'; did you mean 'native'?" record good.yaml --on natve -o x.jsonl
refuses_silently 2 "tscsim: 'check': --seed is a whole number from 0 to 2^64 - 1, not '-1'" check good.yaml --seed -1
refuses_silently 2 "tscsim: 'check': --seed is a whole number from 0 to 2^64 - 1, not 'abc'" check good.yaml --seed abc
refuses_silently 2 "tscsim: 'check': --seed is a whole number from 0 to 2^64 - 1, not '18446744073709551616'" \
  check good.yaml --seed 18446744073709551616
refuses_silently 2 "tscsim: 'doctor' does not take 'x'" doctor x
refuses_silently 2 "tscsim: 'record' needs -o FILE for the recording" record good.yaml --on model
refuses_silently 2 "tscsim: nothing is called 'windw'; did you mean 'window'?" explain windw
refuses_silently 2 "tscsim: cannot list 'kernel'; did you mean 'kernels'?" list kernel
refuses_silently 2 "error: unknown kernel '99x'
  mend: write it as in '6.12', '6.1.5' or '5.10+precise-tsc-v2'" check good.yaml good.yaml --kernel 99x
refuses_silently 2 "error: unknown heuristic 'windo'
  mend: did you mean 'window'?" run good.yaml --heuristic windo

# Each command without what it needs says so and gives an example.
for command in run compare crosscheck record verify export list explain; do
  run_tscsim "$command"
  want_status 2 "$command"
  grep -qE "^tscsim: '$command' needs " "$work/err.txt" || wrong "tscsim $command: does not say what it needs"
  grep -qE "^example: tscsim $command " "$work/err.txt" || wrong "tscsim $command: gives no example"
done

for command in run check compare crosscheck record verify hunt export doctor lab list explain; do
  run_tscsim "$command" --help
  want_status 0 "$command --help"
  grep -q "^  tscsim $command" "$work/out.txt" || wrong "tscsim $command --help: no example"
done

run_tscsim
want_status 2 ""
run_tscsim --help
want_status 0 "--help"
run_tscsim --version
want_status 0 "--version"
finish
