#!/usr/bin/env bash
# No empty or false pass: what was not checked is not called passed, and a word that means nothing is not run as another.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

use=$source_dir/tests/cases/use
write_scenario good 1
write_scenario other 2
write_scenario fails 1 '{b: {is: 5}}'
cp "$use/noexp.yaml" "$use/trap.yaml" "$use/trap2.yaml" .

# says FILE PATTERN: one line of the output matches.
says() { grep -qE -- "$2" "$1" || wrong "nothing like '$2' in: $(head -c 1500 "$1")"; }
says_not() { if grep -qE -- "$2" "$1"; then wrong "'$2' in: $(head -c 1500 "$1")"; fi; }

# ---- kernels ----

# Every command with --kernel runs each of a list, or refuses the list.
for command in run check verdict stats; do
  run_tscsim $command good.yaml --kernel 5.10,6.12
  want_status 0 "$command --kernel 5.10,6.12"
  says out.txt 'good@5\.10'
  says out.txt 'good@6\.12'
done
run_tscsim lint good.yaml --kernel 5.10,6.12
says out.txt '^2 files: '
run_tscsim export ftrace good.yaml --kernel 5.10,6.12
want_status 0 "export ftrace --kernel 5.10,6.12"
says out.txt 'good@5\.10 .*Linux 5\.10;'
says out.txt 'good@6\.12 .*Linux 6\.12;'
run_tscsim check good.yaml --kernel 5.10,6.12,5.10
says out.txt '^2 passed'
wants_object 0 'passed=2' check good.yaml --kernel 5.10,6.12
run_tscsim evaluate "$source_dir/scenarios/evaluation/apart-skewed-guest.yaml" --only --kernel 5.10,6.12 --runs 2 --format csv
want_status 0 "evaluate --kernel 5.10,6.12"
says out.txt '^5\.10,'
says out.txt '^6\.12,'

one="--kernel '5.10,6.1': this command takes one version, not a list
  next: call it once for each; run, check, verdict, lint, stats, export and evaluate take lists, and compare --kernels"
refuses_silently 2 "tscsim: $one" record good.yaml --on model -o x.jsonl --kernel 5.10,6.1
refuses_silently 2 "tscsim: $one" sweep good.yaml --db x.db --vary 'timeline.1.at=uniform(1 s, 2 s)' --kernel 5.10,6.1
refuses_silently 2 "tscsim: $one" hunt --property kvmclock-is-one-line --kernel 5.10,6.1
[[ -e x.jsonl || -e x.db ]] && wrong "a refused command left a file"

# A word that is no version, with the nearest; every command that takes one.
declare -A nearest=(['6.1foo']=6.1 ['6.1 ']=6.1 ['6.1.']=6.1 ['06.1']=6.1 ['99.9x']=99.9 ['v6.12']=6.12 ['6.12-rc1']=6.12)
for word in "${!nearest[@]}"; do
  text="error: unknown kernel '$word'
  mend: did you mean '${nearest[$word]}'?"
  refuses_silently 2 "$text" evaluate --only --kernel "$word"
  for command in run check verdict lint stats "export ftrace" "record -o x.jsonl --on model" \
    "sweep --db x.db --vary timeline.1.at=uniform(1s,2s)"; do
    # shellcheck disable=SC2086  # words
    refuses_silently 2 "$text" $command good.yaml --kernel "$word"
  done
  refuses_silently 2 "$text" compare good.yaml --kernels "5.10,$word"
  refuses_silently 2 "$text" check good.yaml --kernel "5.10,$word"
  refuses_silently 2 "tscsim: nothing is called '$word'; did you mean '${nearest[$word]}'?" explain "$word"
done
refuses_silently 2 "tscsim: nothing is called 'guest-6.8foo'; did you mean 'guest-6.8'?" explain guest-6.8foo
refuses_silently 2 "tscsim: --kernel '5.10,': expected a version in each place of the list, as in '5.10,6.1'" check good.yaml --kernel 5.10,
refuses_silently 2 "tscsim: --kernel '': expected a version in each place of the list, as in '5.10,6.1'" check good.yaml --kernel ''
for word in 6.1foo 06.1 6.1. ; do
  sed "s/^vm:/host: {kernel: '$word'}\nvm:/" good.yaml >named.yaml
  sed -i 's/name: good/name: named/' named.yaml
  refuses_silently 2 "named.yaml:4:16: error: expected a kernel version, found '$word'
    host: {kernel: '$word'}
                   ^
  mend: did you mean '6.1'?" run named.yaml
done

# Newer than anything known: taken for the newest, and said so, once.
newer="notice: Linux 99.99 is newer than any that is known here; it is taken for 7.4 (queued)"
for command in run check verdict lint stats "export ftrace"; do
  # shellcheck disable=SC2086  # words
  run_tscsim $command good.yaml --kernel 99.99
  want_status 0 "$command --kernel 99.99"
  [[ $(cat err.txt) == "$newer" ]] || wrong "$command --kernel 99.99 says: $(cat err.txt)"
done
run_tscsim check good.yaml other.yaml --kernel 8.0 --format json --junit new.xml
[[ $(grep -c 'notice: Linux 8.0 is newer' err.txt) -eq 1 ]] || wrong "standard error: $(cat err.txt)"
"$one_object" 'passed=2' <out.txt || wrong "check --kernel 8.0: no object"
says out.txt '"Linux 8.0 is newer than any that is known here; it is taken for 7.4 \(queued\)"'
says new.xml '<system-err>Linux 8.0 is newer than any'
run_tscsim compare good.yaml --kernels 6.12,99.99
[[ $(cat err.txt) == "$newer" ]] || wrong "compare --kernels 6.12,99.99 says: $(cat err.txt)"
run_tscsim explain 99.99
want_status 0 "explain 99.99"
[[ $(cat err.txt) == "$newer" ]] || wrong "explain 99.99 says: $(cat err.txt)"
says_not out.txt 'changed nothing'
run_tscsim explain guest-8.0
want_status 0 "explain guest-8.0"
says err.txt '^notice: a Linux guest 8.0 is newer than any that is known here; it is taken for the newest known'
sed 's/name: good/name: named/; s/^vm:/host: {kernel: 8.0}\nvm:/' good.yaml >named.yaml
run_tscsim run named.yaml
says err.txt '^notice: Linux 8.0 is newer'
run_tscsim record named.yaml --on model -o named.jsonl
run_tscsim verify named.jsonl
want_status 0 "verify of a recording of 8.0"
says err.txt '^notice: Linux 8.0 is newer'
for known in 7.4 7.3 6.12 2.6.37; do
  run_tscsim check good.yaml --kernel $known
  [[ -s err.txt ]] && wrong "--kernel $known: $(cat err.txt)"
done

# ---- what holds with either sign ----

run_tscsim run trap.yaml
want_status 1 "run trap.yaml"
says out.txt 'found -12_999_999_999 cycles, expected at most 26_000_000 cycles either way'
run_tscsim run trap2.yaml
want_status 1 "run trap2.yaml"

# ---- nothing was checked ----

run_tscsim check noexp.yaml --junit new.xml
want_status 4 "check noexp.yaml"
says out.txt '^nothing +noexp +nothing is expected$'
says out.txt '^0 passed, 0 failed, 0 errors, 0 skipped, 1 that expect nothing$'
says new.xml '<skipped message="nothing is expected"/>'
wants_object 4 'passed=0 failed=0 nothing_expected=1' check noexp.yaml
says out.txt '"state": "nothing_expected"'
run_tscsim check noexp.yaml good.yaml
want_status 0 "check of one that expects something and one that does not"
says out.txt '^1 passed, .*, 1 that expect nothing$'
run_tscsim check noexp.yaml fails.yaml
want_status 1 "check of one that fails and one that expects nothing"
run_tscsim run noexp.yaml
want_status 4 "run noexp.yaml"
says out.txt '^  nothing is expected$'
wants_object 4 'held=0 failed=0 nothing_expected=1' run noexp.yaml
sed 's/name: good/name: young/; s/^vm:/since: 6.1\nvm:/' good.yaml >young.yaml
run_tscsim check young.yaml --kernel 5.10
want_status 4 "check of a scenario that this kernel is too old for"

for command in "hunt --property kvmclock-is-one-line" "hunt --on native"; do
  # shellcheck disable=SC2086  # words
  refuses_silently 2 "tscsim: --runs 0: at least one" $command --runs 0
done
mkdir -p empty
refuses_silently 2 "empty: error: holds no scenario
  mend: scenarios are files that end in .yaml or .yml" check empty
refuses_silently 2 "missing: error: there is no such file or folder" check missing

# ---- procedures that replace nothing ----

pause=$(find "$source_dir/scenarios/vmm" -name 'qemu-stop-cont.yaml')
for command in run check verdict lint stats "export ftrace" crosscheck "record -o x.jsonl --on model" \
  "sweep --db x.db --vary timeline.1.at=uniform(1s,2s)"; do
  # shellcheck disable=SC2086  # words
  refuses_silently 2 "tscsim: --procedure: there is no procedure 'nonsense'; see 'tscsim list procedures'" \
    $command good.yaml --procedure nonsense
  # shellcheck disable=SC2086  # words
  refuses_silently 2 "tscsim: --procedure 'qemu/migrate' replaces nothing: the scenario uses none that it could replace" \
    $command good.yaml --procedure qemu/migrate
done
refuses_silently 2 "tscsim: --procedure 'qemu/migrate' replaces nothing: none of the scenarios uses one that it could replace" \
  check good.yaml "$pause" --procedure qemu/migrate
refuses_silently 2 "tscsim: --procedure: there is no procedure 'qemu/stop-cnt'; did you mean 'qemu/stop-cont'?" \
  check "$pause" --procedure qemu/stop-cnt
run_tscsim check good.yaml "$pause" --procedure qemu/stop-cont=policies/no-care-pause
[[ $status -le 1 ]] || wrong "a procedure that replaces one in one of two scenarios: $(cat err.txt)"
refuses_silently 2 "tscsim: --kernel is for scenarios, and there are only recordings: what they say is done" \
  verdict named.jsonl --kernel 6.1

# ---- verify ----

run_tscsim record good.yaml --on model -o good.jsonl
mkdir -p folder/below
cp good.jsonl folder/below/
"$tscsim" record other.yaml --on model -o folder/other.jsonl.xz >/dev/null
echo "no recording" >folder/README.md
echo "no recording" >bad.jsonl
: >nothing.jsonl
run_tscsim verify bad.jsonl good.jsonl nothing.jsonl missing.jsonl --junit new.xml
want_status 2 "verify of one good and three bad files"
says out.txt '^agree +good.jsonl'
for file in bad nothing missing; do
  says err.txt "^$file.jsonl:.* error: "
  says new.xml "<testcase classname=\"input\" name=\"$file.jsonl\" file=\"$file.jsonl\"><error type=\"input\""
done
says new.xml '<testsuite name="tscsim verify" tests="4" failures="0" errors="3" skipped="0">'
wants_object 2 'errors=3 agree=1' verify bad.jsonl good.jsonl nothing.jsonl missing.jsonl
run_tscsim verify folder
want_status 0 "verify of a folder"
says out.txt '^agree +folder/below/good.jsonl'
says out.txt '^agree +folder/other.jsonl.xz'
refuses_silently 2 "empty: error: holds no recording
  mend: recordings are files that end in .jsonl or .jsonl.xz" verify empty

# KVM is not the model: a value that was changed. Beside a bad file that is worse, and alone it is 1.
sed '/"kind":"rdtsc"/s/"fields":{"value":"[0-9]*"}/"fields":{"value":"1"}/' good.jsonl >changed.jsonl
cmp -s good.jsonl changed.jsonl && wrong "nothing was changed in changed.jsonl"
run_tscsim verify changed.jsonl --junit new.xml
want_status 1 "verify of a changed recording"
says out.txt '^DISAGREE +changed.jsonl'
says new.xml '<failure type="disagree"'
wants_object 1 'disagree=1 expectation_failed=0' verify changed.jsonl good.jsonl
run_tscsim verify changed.jsonl bad.jsonl good.jsonl
want_status 2 "verify of a changed and a bad file"

# The author's expectation failed: KVM, here the model itself, is what the model says.
run_tscsim record fails.yaml --on model -o fails.jsonl
run_tscsim verify fails.jsonl --scenario fails.yaml --junit new.xml
want_status 1 "verify of a recording whose expectation fails"
says out.txt '^FAILED +fails.jsonl .* 0 mismatch.*; expectations: 0 held, 1 failed'
says out.txt '1 with an expectation that failed, while KVM and the model agree$'
says_not out.txt 'DISAGREE'
says new.xml '<failure type="expectation"'
wants_object 1 'disagree=0 expectation_failed=1' verify fails.jsonl --scenario fails.yaml
says out.txt '"verdict": "expectation_failed"'

# ---- which scenarios ----

export XDG_CACHE_HOME=$work/cache
run_tscsim check good.yaml other.yaml fails.yaml -k goo
want_status 0 "check -k goo"
says out.txt '^passed +good '
says out.txt '^1 passed, 0 failed'
refuses_silently 2 "tscsim: -k absent: no scenario has this in its name or path" check good.yaml -k absent
run_tscsim check --failed
want_status 4 "check --failed after nothing failed"
says err.txt '^notice: nothing failed the last time, so there is nothing to check'
echo "name: bad" >bad.yaml
run_tscsim check good.yaml fails.yaml bad.yaml
want_status 2 "check of a good, a failing and a bad one"
run_tscsim check --failed
want_status 2 "check --failed of a failing and a bad one"
says out.txt '^failed +fails '
says out.txt '^0 passed, 1 failed, 1 errors'
sed 's/name: good/name: bad/' good.yaml >bad.yaml
run_tscsim check good.yaml bad.yaml fails.yaml --failed
want_status 1 "check --failed of one that is mended and one that is not"
says out.txt '^1 passed, 1 failed, 0 errors'
run_tscsim check --failed
says out.txt '^0 passed, 1 failed, 0 errors'
refuses_silently 2 "tscsim: --failed: none of these failed the last time" check good.yaml --failed
rm -r cache

cp good.yaml short.yml
sed -i 's/name: good/name: short/' short.yml
mkdir -p ymls
mv short.yml ymls/
run_tscsim check ymls
want_status 0 "check of a folder with a .yml file"
says out.txt '^passed +short '
run_tscsim run master-clock-frozen-by-nothing
want_status 2 "run of a name that is none"
name=$(basename "$pause" .yaml)
run_tscsim run "$name"
want_status 0 "run of a shipped scenario by its name"
says out.txt "^$name: "
cases=$((cases + 1))
"$tscsim" run - <good.yaml >out.txt 2>err.txt || wrong "run -: $(cat err.txt)"
says out.txt '^good: '
"$tscsim" check - --procedure nonsense <good.yaml >out.txt 2>err.txt && wrong "check - with a procedure that is none"
says err.txt "there is no procedure 'nonsense'"

# ---- JUnit ----

mkdir -p twice
cp good.yaml twice/
echo "name: bad" >bad.yaml
run_tscsim check good.yaml twice/good.yaml noexp.yaml fails.yaml bad.yaml --junit new.xml
want_status 2 "check of five"
says new.xml '<testsuite name="tscsim check" tests="5" failures="1" errors="1" skipped="1">'
says new.xml '<testcase classname="check" name="good" file="good.yaml"/>'
says new.xml '<testcase classname="check" name="good #2" file="twice/good.yaml"/>'
says new.xml '<error type="input"'
says new.xml '<failure type="expectation"'
[[ -z $(grep -o 'classname="[^"]*" name="[^"]*"' new.xml | sort | uniq -d) ]] || wrong "JUnit: names are not unique"
if command -v xmllint >/dev/null; then xmllint --noout new.xml || wrong "JUnit: no XML"; fi
finish
