#!/usr/bin/env bash
# Long runs of the fuzzer that follows coverage (libFuzzer, docs/fuzzing.md).
#   scripts/fuzz.sh [TARGET...] [--seconds N] [--jobs N]
# Each target (all of them without one) runs for N seconds, 60 without --seconds; --jobs of them at once, 1 without. It goes
# on where the last run ended: build/fuzz/corpus keeps what was reached, build/fuzz/executions how often. Ctrl-C ends it and
# keeps all that. Exit status: 0 nothing was found, 1 something was (it lies in build/fuzz/found), 3 no clang to be had.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

usage() {
  say "usage: scripts/fuzz.sh [TARGET...] [--seconds N] [--jobs N]"
  exit 2
}
seconds=60 jobs=1 chosen=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --seconds | --jobs)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage
      if [[ $1 == --seconds ]]; then seconds=$2; else jobs=$2; fi
      shift 2
      ;;
    -*) usage ;;
    *)
      chosen+=("$1")
      shift
      ;;
  esac
done

packages+=(clang libclang-rt-dev)
build=$root/build/fuzz
fuzzer=$build/tests/fuzz/tscsim_libfuzzer
mkdir -p "$build"
missing=()
if command -v dpkg-query >/dev/null; then mapfile -t missing < <(missing_packages "${packages[@]}"); fi
if [[ ${#missing[@]} -gt 0 ]]; then install_packages "${missing[@]}"; fi
if ! command -v clang++ >/dev/null; then
  say "There is no clang++, which libFuzzer comes with."
  exit 3
fi
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
[[ -f $build/build.ninja ]] || (cd "$root" && cmake --preset fuzz >/dev/null)
ninja -C "$build" --quiet tscsim_libfuzzer tscsim_fuzz >&2

mapfile -t known < <("$build/tests/fuzz/tscsim_fuzz" list | cut -d' ' -f1)
if [[ ${#chosen[@]} -eq 0 ]]; then chosen=("${known[@]}"); fi
for target in "${chosen[@]}"; do
  if ! printf '%s\n' "${known[@]}" | grep -qxF -- "$target"; then
    say "There is no target '$target'; there are: ${known[*]}"
    exit 2
  fi
done

# fuzz TARGET: one run, and a line of what it executed into the target's list.
fuzz() {
  local target=$1 log=$build/logs/$1 bytes executed status=0
  mkdir -p "$build"/{logs,executions,found} "$build/corpus/$target" "$root/tests/fuzz/found/$target"
  if [[ ! -d $build/seeds/$target ]]; then "$build/tests/fuzz/tscsim_fuzz" seeds "$target" "$build/seeds/$target"; fi
  bytes=$("$build/tests/fuzz/tscsim_fuzz" list | awk -v target="$target" '$1 == target {print $2}')
  TSCSIM_FUZZ_TARGET=$target "$fuzzer" -max_total_time="$seconds" -max_len="$bytes" -timeout=20 -rss_limit_mb=2048 \
    -print_final_stats=1 -report_slow_units=2 -artifact_prefix="$build/found/$target-" \
    "$build/corpus/$target" "$build/seeds/$target" "$root/tests/fuzz/found/$target" >"$log" 2>&1 || status=$?
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  echo "${executed:-0} $SECONDS" >>"$build/executions/$target"
  rmdir --ignore-fail-on-non-empty "$root/tests/fuzz/found/$target"
  printf '%-16s %12s executions in %6s s' "$target" "${executed:-0}" "$SECONDS"
  if [[ $status -ne 0 && $status -ne 72 ]]; then  # 72: interrupted
    printf '   FOUND, see %s' "${log#"$root/"}"
    touch "$build/found-something"
  fi
  printf '\n'
}

# Of all runs since the corpus was begun.
total() {
  cat "$build"/executions/* 2>/dev/null |
    awk '{n += $1; s += $2} END {printf "total %d executions in %d s of fuzzing, all runs together\n", n, s}'
}

rm -f "$build/found-something"
trap 'wait; total; exit 130' INT TERM
for target in "${chosen[@]}"; do
  while [[ $(jobs -rp | wc -l) -ge $jobs ]]; do wait -n; done
  (trap - INT TERM; SECONDS=0; fuzz "$target") &
done
wait
total
[[ ! -e $build/found-something ]]
