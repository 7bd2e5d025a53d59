#!/usr/bin/env bash
# The content of a sweep's database depends on nothing but its inputs: not on threads, ranks or shards, and not on how often
# the process was killed and resumed.  sweep_test.sh TSCSIM CONTENT SOURCE_DIR
set -euo pipefail
tscsim=$1 content=$2 source=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { printf 'FAIL: %s\n' "$*"; exit 1; }
# Waits until a sweep has its database, and a little longer.
begun() {
  for _ in {1..600}; do
    if [[ -e $1 ]]; then sleep 0.2; return; fi
    sleep 0.1
  done
  fail "$1 was never made"
}
scenario=$source/scenarios/sweeps/live-migration.yaml
options=(--vary 'downtime=uniform(100 ms, 2 s)' --vary 'entry_gap=exponential(5 ms, 15 ms)' --vary 'clock_gap=normal(3 ms, 2 ms, 0 ms)'
         --vary 'hosts.b.realtime_error=choice(0 ms, 1 ms)' --show kvmclock_jump --show tsc_jump --show 'lost = after - before' --keep runs --runs 150000)
sweep() { "$tscsim" sweep "$scenario" "${options[@]}" "$@"; }
same() { "$content" "$1" | cmp -s - reference || fail "$2: another content than one thread's"; }

sweep --db one.db --threads 1 >one.txt 2>/dev/null
"$content" one.db >reference
[[ $(grep -c '|' reference) -gt 150000 ]] || fail "the content of the database is not told"
[[ -z $(find . -name 'one.db-*' -o -name '*.new') ]] || fail "files beside the database are left"
sweep --db two.db --threads 2 >two.txt 2>/dev/null
same two.db "two threads"
cmp -s <(sed 's/one\.worst/X/' one.txt) <(sed 's/two\.worst/X/' two.txt) || fail "two threads report otherwise"

# What is wrong is said, with exit status 2, and nothing is made.
refused() {
  local status=0
  "$tscsim" sweep "${@:2}" --db wrong.db >/dev/null 2>err || status=$?
  [[ $status -eq 2 ]] && grep -qF -- "$1" err || { cat err; fail "sweep ${*:2}: not refused with '$1'"; }
  [[ ! -e wrong.db ]] || fail "sweep ${*:2}: a database is left"
}
refused "nothing varies" "$scenario"
refused "there are lead" "$scenario" --vary 'dwntime=uniform(1 ms, 2 ms)'
refused "expected a duration" "$scenario" --vary 'downtime=uniform(1, 2)'
refused "unknown distribution" "$scenario" --vary 'downtime=unifrm(1 ms, 2 ms)'
refused "varies twice" "$scenario" --vary 'lead=choice(1 ms)' --vary 'lead=choice(2 ms)'
refused "names two columns" "$scenario" --vary 'downtime=choice(1 s)' --show after --show after
refused "nothing is captured as" "$scenario" --vary 'downtime=choice(1 s)' --show nothing
refused "cannot be swept" "$scenario" --vary 'downtime=choice(1 s)' --show 'ns(after.tsc)'
refused "--shard 3/3" "$scenario" --vary 'downtime=choice(1 s)' --shard 3/3
refused "'aggregates' or 'runs'" "$scenario" --vary 'downtime=choice(1 s)' --keep all
refused "cannot be opened" nowhere.yaml --vary 'downtime=choice(1 s)'

# Another seed, another content: the comparison can fail.
sweep --db other.db --seed 2 >/dev/null 2>&1
! "$content" other.db | cmp -s - reference || fail "the seed does not matter"

# The worst runs replay alone.
"$tscsim" check one.worst >worst.txt || { cat worst.txt; fail "a worst run does not replay"; }
grep -q '6 passed, 0 failed, 0 errors, 0 skipped, 3 that expect nothing' worst.txt || { cat worst.txt; fail "there are not 9 worst runs, 3 of them of an expression"; }

# Shards.
for i in 0 1 2; do sweep --db "part$i.db" --shard "$i/3" >/dev/null 2>&1; done
"$tscsim" merge merged.db part2.db part0.db part1.db >/dev/null
same merged.db "three shards"
! "$tscsim" merge wrong.db part0.db part1.db 2>err || fail "a shard is missing and nothing is said"
grep -q '2 of 3 shards' err || fail "what is missing is not said: $(cat err)"
! "$tscsim" merge wrong.db part0.db part1.db part1.db 2>err || fail "a shard stands twice and nothing is said"
grep -q 'the same shard' err || fail "that a shard stands twice is not said: $(cat err)"
[[ ! -e wrong.db ]] || fail "something half-written is left"

# Killed at random moments.
RANDOM=2026
for _ in {1..20}; do
  (exec "$tscsim" sweep "$scenario" "${options[@]}" --db killed.db --resume --threads 2) >/dev/null 2>&1 &
  pid=$!
  sleep "0.0$((RANDOM % 90 + 10))"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
done
sweep --db killed.db --resume >/dev/null 2>err || { cat err; fail "it does not resume"; }
same killed.db "20 times killed"

# Interrupted: what was done is kept, and told.
(exec "$tscsim" sweep "$scenario" "${options[@]::${#options[@]}-2}" --runs 100000000 --db interrupted.db) >/dev/null 2>err &
pid=$!
begun interrupted.db
! "$tscsim" sweep "$scenario" "${options[@]::${#options[@]}-2}" --runs 100000000 --db interrupted.db --resume 2>err2 || fail "two processes write one database"
grep -q 'in use by another process' err2 || fail "that the database is in use is not said: $(cat err2)"
kill -INT "$pid"
status=0
wait "$pid" || status=$?
[[ $status -eq 130 ]] || fail "interrupted, and the exit status is $status"
grep -q 'resume' err || fail "how to go on is not said"

# Ranks.
if [[ -x $tscsim-mpi ]] && command -v mpirun >/dev/null; then
  run_ranks() { OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n "$@"; }
  for ranks in 1 2 4; do
    for threads in 1 2; do
      run_ranks "$ranks" "$tscsim" sweep "$scenario" "${options[@]}" --db "ranks$ranks-$threads.db" --threads "$threads" >/dev/null 2>mpi.err || { cat mpi.err; fail "mpirun -n $ranks"; }
      same "ranks$ranks-$threads.db" "$ranks ranks with $threads threads"
    done
  done
  # A rank that dies is reported, and the sweep resumes.
  long=("${options[@]::${#options[@]}-4}" --runs 600000)
  run_ranks 3 "$tscsim" sweep "$scenario" "${long[@]}" --db dead.db --threads 1 >/dev/null 2>mpi.err &
  mpi=$!
  begun dead.db
  killed=0
  for pid in $(pgrep -f 'tscsim.*dead\.db'); do
    if tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qx OMPI_COMM_WORLD_RANK=2; then kill -KILL "$pid" && killed=1; fi
  done
  [[ $killed -eq 1 ]] || fail "there is no rank 2 to kill"
  ! wait "$mpi" || fail "a rank died and the exit status is 0"
  grep -qi 'rank 2' mpi.err || { cat mpi.err; fail "the dead rank is not reported"; }
  "$tscsim" sweep "$scenario" "${long[@]}" --db dead.db --resume >/dev/null 2>&1
  "$tscsim" sweep "$scenario" "${long[@]}" --db alive.db >/dev/null 2>&1
  cmp -s <("$content" dead.db) <("$content" alive.db) || fail "a rank died: another content"
else
  echo "SKIP ranks: needs: Open MPI (libopenmpi-dev, openmpi-bin)"
fi
echo "sweeps: all of them the same"
