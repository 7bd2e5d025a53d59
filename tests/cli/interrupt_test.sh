#!/usr/bin/env bash
# SIGINT and SIGTERM in the middle of a run on real KVM: it ends at once with 130, and leaves files as they were.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
have_kvm || skip "/dev/kvm cannot be opened here"

write_scenario slow 8
echo "what was there before" >kept.jsonl

# interrupts SIGNAL ARG...: the signal comes half a second after the start, within the 8 s of the scenario.
interrupts() {
  local signal=$1 began=$SECONDS
  shift
  cases=$((cases + 1))
  "$tscsim" "$@" >out.txt 2>err.txt &
  local pid=$!
  sleep 0.7
  kill "-$signal" "$pid" || wrong "tscsim $*: ended before the signal came"
  status=0
  wait "$pid" || status=$?
  want_status 130 "$* and $signal"
  ((SECONDS - began <= 3)) || wrong "tscsim $*: went on for $((SECONDS - began)) s after $signal"
  [[ $(tail -n 1 err.txt) == "tscsim: interrupted" ]] || wrong "tscsim $*: says $(tail -n 1 err.txt)"
  [[ -s out.txt ]] && wrong "tscsim $*: writes $(head -c 200 out.txt)"
  [[ -z $(find . -name '*.tmp' -o -name 'new.*') ]] || wrong "tscsim $*: leaves $(ls)"
}

interrupts INT record slow.yaml --on native -o new.jsonl
interrupts TERM record slow.yaml --on native -o new.jsonl
interrupts INT record slow.yaml --on native -o kept.jsonl
interrupts INT crosscheck slow.yaml --on native --junit new.xml
interrupts INT crosscheck slow.yaml --on native --format json
[[ $(cat kept.jsonl) == "what was there before" ]] || wrong "an interrupted run replaced kept.jsonl"
[[ -e out ]] && wrong "an interrupted run made out/"
finish
