#!/usr/bin/env bash
# Scenario files that are missing, malformed, too large or hostile; and that good ones still run beside them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

write_scenario good 1
write_scenario bad 1 '{b: {is: 0}}'
mkdir empty

refuses_silently 2 "nofile.yaml: error: there is no such file or folder" run nofile.yaml
refuses_silently 2 "nofile.yaml: error: there is no such file or folder" check nofile.yaml
refuses_silently 2 "nofile.yaml: error: there is no such file or folder" crosscheck nofile.yaml
for command in run check crosscheck; do
  refuses_silently 2 "empty: error: holds no scenario
  mend: scenarios are files that end in .yaml or .yml" $command empty
done

head -c 10485760 /dev/zero | tr '\0' 'a' >big.yaml
for command in run check; do
  refuses 2 "big.yaml: error: the file holds 10485760 bytes; a scenario has at most 1048576
  mend: check that this is a scenario, or split it" $command big.yaml
done

# Deep nesting and alias bombs beyond what scenarios/refused/ holds: refused in no time, without a crash.
printf 'name: deep\nvm: %s\n' "$(head -c 500000 /dev/zero | tr '\0' '[')" >deep.yaml
{
  echo 'a: &a [x, x, x, x, x, x, x, x, x]'
  previous=a
  for next in b c d e f g h i j k l m n o p; do
    echo "$next: &$next [*$previous, *$previous, *$previous, *$previous, *$previous, *$previous, *$previous, *$previous]"
    previous=$next
  done
} >bomb.yaml
printf '\x00\x01\xff\xfe' >binary.yaml
for file in deep bomb binary; do
  run_tscsim run $file.yaml
  want_status 2 "run $file.yaml"
  head -n 1 err.txt | grep -q "^$file.yaml:.*error: " || wrong "$file.yaml: message without place: $(head -c 200 err.txt)"
done

# Every refused input of the language gives its message on the command line too.
cd "$source_dir/scenarios/refused" || exit 1
for file in *.yaml; do
  refuses_silently 2 "$(cat "${file%.yaml}.expected-error")" run "$file"
done
cd "$work" || exit 1

# A folder in which one file is bad: the others still count, and the worst status is reported.
mkdir mixed
cp good.yaml bad.yaml mixed/
wants_object 1 'passed=1 failed=1 errors=0 skipped=0' check mixed
echo 'name: [' >mixed/malformed.yaml
wants_object 2 'passed=1 failed=1 errors=1 skipped=0' check mixed
wants_object 0 'passed=1 failed=0 errors=0 skipped=0' check good.yaml
run_tscsim run good.yaml
want_status 0 "run good.yaml"
run_tscsim run bad.yaml
want_status 1 "run bad.yaml"
finish
