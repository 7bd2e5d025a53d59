# What the command line's tests share. Each is called as NAME_test.sh TSCSIM SOURCE_DIR ONE_OBJECT, runs in an empty
# folder that it removes, and exits 0 (all as expected), 1 (not), or 77 (cannot run here; says why).
set -uo pipefail

tscsim=$1
source_dir=$2
one_object=$3  # reads a JSON object and wants members, see one_object.cpp
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

failures=0
cases=0

skip() {
  echo "skipped: $1"
  exit 77
}

wrong() {
  failures=$((failures + 1))
  echo "WRONG: $1"
}

finish() {
  echo "$cases cases, $failures wrong"
  [[ $cases -gt 0 && $failures -eq 0 ]]
  exit
}

# run_tscsim ARG...: leaves the exit status in `status`, the outputs in out.txt and err.txt. Nothing here may take long.
run_tscsim() {
  cases=$((cases + 1))
  status=0
  timeout --kill-after=1 20 "$tscsim" "$@" >"$work/out.txt" 2>"$work/err.txt" || status=$?
}

want_status() {
  [[ $status -eq $1 ]] && return
  wrong "tscsim $2: exit status $status, not $1"
  head -c 2000 "$work/err.txt"
}

# refuses STATUS MESSAGE ARG...: that exit status, exactly MESSAGE on standard error.
refuses() {
  local wanted=$1 message=$2
  shift 2
  run_tscsim "$@"
  want_status "$wanted" "$*"
  [[ $(cat "$work/err.txt") == "$message" ]] && return
  wrong "tscsim $*: standard error differs (<: as it is, >: as it should be)"
  diff <(head -c 4000 "$work/err.txt") <(echo "$message")
}

# refuses_silently STATUS MESSAGE ARG...: the same, and nothing on standard output.
refuses_silently() {
  refuses "$@"
  [[ -s $work/out.txt ]] && wrong "tscsim ${*:3}: writes to standard output: $(head -c 200 "$work/out.txt")"
  return 0
}

# one_object STATUS 'MEMBER...' ARG...: standard output is one JSON object and its `summary` has the members.
wants_object() {
  local wanted=$1 members=$2
  shift 2
  run_tscsim "$@" --format json
  want_status "$wanted" "$* --format json"
  # shellcheck disable=SC2086  # members are words
  "$one_object" $members <"$work/out.txt" || wrong "tscsim $* --format json: see above"
}

# A scenario that passes on the model, and needs nothing; SECONDS of scenario time.
write_scenario() {
  local name=$1 seconds=$2 expectation=${3:-'{b: {at_least: a}}'}
  cat >"$name.yaml" <<END
name: $name
title: Two reads
source: a test of the command line
vm: {vcpus: 1}
timeline:
  - {at: 0 s, vcpu: 0, rdtsc: a}
  - {at: $seconds s, vcpu: 0, rdtsc: b}
expect:
  - $expectation
END
}

have_kvm() { [[ -e /dev/kvm ]] && (: <>/dev/kvm) 2>/dev/null; }
