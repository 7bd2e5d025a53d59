#!/usr/bin/env bash
# tscsim compare: the table of docs/compare.md word for word, shown to fail on a table with another number; each row's command
# gives that row; JSON and CSV hold the same values; wrong words are refused before anything is printed.
# With TSCSIM_UPDATE_GOLDEN=1 the table in the page is written.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

page=$source_dir/docs/compare.md
ln -s "$source_dir/scenarios" scenarios  # so that the paths in the output are short
example=(compare scenarios/vmm/hosts/other-kernel.yaml --kernels 5.10,6.12 --procedures "own,documented/migrate" --heuristics own
  --heuristics never --metrics kvmclock_jump,after.tsc,master_clock,expectations)

# ---- the page ----

in_page() { sed -n '/^<!-- tscsim compare -->$/,/^<!-- end -->$/p' "$page" | grep -v '^<!--\|^```'; }

run_tscsim "${example[@]}"
want_status 0 "${example[*]}"
cp out.txt table.txt
if [[ -n ${TSCSIM_UPDATE_GOLDEN:-} ]]; then
  { sed '/^<!-- tscsim compare -->$/q' "$page"; echo '```'; cat table.txt; echo '```'; sed -n '/^<!-- end -->$/,$p' "$page"; } >new.md && cp new.md "$page"
fi
[[ $(grep -cE '^ +[0-9]+  (5\.10|6\.12) ' table.txt) -eq 8 ]] || wrong "the example has not eight rows"
sed '0,/298_000_001/s//298_000_000/' table.txt >other.txt
cmp -s other.txt <(in_page) && wrong "another number in the page is not noticed"
if ! cmp -s table.txt <(in_page); then
  wrong "docs/compare.md differs (<: the page, >: as it is); TSCSIM_UPDATE_GOLDEN=1 writes it"
  diff <(in_page) table.txt
fi

# ---- the rows ----

# Marks compare rows, so they are not in a table of one.
plain_row() { grep -m 1 -E "^ +$1  [0-9]" "$2" | sed -E 's/^ +[0-9]+ +//; s/ [*!]( |$)/ /g; s/ +/ /g; s/ $//'; }

for row in 1 2 3 4 5 6 7 8; do
  command=$(sed '1,/^each row alone/d' table.txt | sed -n "s/^ *$row  tscsim //p")
  eval "run_tscsim $command"
  want_status 0 "$command"
  [[ $(plain_row 1 out.txt) == "$(plain_row "$row" table.txt)" ]] || wrong "row $row is not what its command prints: $command"
done
[[ $(plain_row 1 table.txt) != "$(plain_row 2 table.txt)" && $(plain_row 5 table.txt) != "$(plain_row 7 table.txt)" ]] || wrong "the example does not tell its rows apart"

wants_object 0 'rows=8' "${example[@]}"
for text in '"kvmclock_jump": "-298000001"' '"after.tsc": null' '"refused: get_tsc_offset on vCPU 0, EINVAL"' '"unit": "cycles"'; do
  grep -qF -- "$text" out.txt || wrong "--format json does not say $text"
done
run_tscsim "${example[@]}" --format csv
want_status 0 "${example[*]} --format csv"
[[ $(wc -l <out.txt) -eq 9 ]] || wrong "--format csv: not a header and eight rows"
[[ $(head -n 1 out.txt) == "kernel,procedures,heuristic,kvmclock_jump [ns],after.tsc [cycles],master_clock,expectations [held],best,worst,note,command" ]] ||
  wrong "--format csv: another header: $(head -n 1 out.txt)"
grep -qF "6.12,own,own,-298000001,9620000000,on,4/4,after.tsc master_clock expectations,," out.txt || wrong "--format csv: no row of QEMU on 6.12"

# ---- what is said of a row ----

says() {  # says TEXT ARG...: exit status 0 and a line with TEXT on standard output
  local text=$1
  shift
  run_tscsim "$@"
  want_status 0 "$*"
  grep -qF -- "$text" out.txt || wrong "tscsim $*: does not say '$text'"
}

hosts=scenarios/vmm/hosts
says "refused: set_tsc_khz on vCPU 0, EINVAL" compare $hosts/qemu-faster-host-without-scaling.yaml --procedures documented/migrate
says "stopped: set_tsc_offset on vCPU 0 needs 'migrate1_offset_0'" compare $hosts/other-kernel.yaml --kernels 5.10 --procedures documented/migrate
says "not possible: heuristic 'window-from-first-write'" compare $hosts/other-kernel.yaml --kernels 2.6.37 --heuristics window=500ms
says "3 not run: needs: Linux 6.8 or later (here 5.10)" compare $hosts/unstable-tsc.yaml --kernels 5.10 --metrics expectations
says "kernel own: a 5.10, b 6.12" compare $hosts/other-kernel.yaml
says "heuristic own: the scenario's, never" compare scenarios/thread/migration-by-value-skew.yaml
says "--heuristics window=500ms,zero_write=value" compare $hosts/other-kernel.yaml --heuristics "window=500ms,zero_write=value;never"
cp scenarios/vmm/hosts/other-kernel.yaml other-kernel.yaml
mkdir "a folder" && cp other-kernel.yaml "a folder"
says "tscsim compare 'a folder/other-kernel.yaml' --kernels own" compare "a folder/other-kernel.yaml"

# A scenario's own kernels are a row each, with the expectations of each; `all` has every kernel that changed something.
kernels=$(sed -n 's/^kernels: \[\(.*\)\]$/\1/p' scenarios/bugs/no-exact-restore.yaml)
wants_object 0 "rows=$(wc -w <<<"$kernels")" compare scenarios/bugs/no-exact-restore.yaml
says "2/2" compare scenarios/bugs/no-exact-restore.yaml --metrics expectations
run_tscsim list kernels
all=$(grep -v 'never merged' out.txt | awk '{print $1}' | sort -u | wc -l)
wants_object 0 "rows=$all" compare $hosts/other-kernel.yaml --kernels all

# With a Linux guest: its metrics that have a value.
says "wall_clock_error" compare scenarios/guest/pause-both-stopped.yaml
grep -q "soft_lockup" out.txt && wrong "an event that no run had is a column"
says "soft_lockup" compare scenarios/guest/pause-both-stopped.yaml --metrics soft_lockup,after

# One's own procedure.
mkdir -p mine/my
sed 's#^name: qemu/migrate$#name: my/migrate#' scenarios/procedures/qemu/migrate.yaml >mine/my/migrate.yaml
says "--procedure-folder mine" compare $hosts/other-kernel.yaml --procedures own,qemu/migrate=my/migrate --procedure-folder mine

# ---- wrong words ----

file=$hosts/other-kernel.yaml
refuses_silently 2 "tscsim: 'compare' does not take 'b.yaml'" compare $file b.yaml
refuses_silently 2 "nowhere.yaml: error: cannot be opened: No such file or directory" compare nowhere.yaml
refuses_silently 2 "error: unknown kernel '99x'
  mend: write it as in '6.12', '6.1.5' or '5.10+precise-tsc-v2'" compare $file --kernels 6.1,99x
refuses_silently 2 "tscsim: --kernels '5.10,,6.1': there is nothing between two ','" compare $file --kernels 5.10,,6.1
refuses_silently 2 "error: unknown heuristic 'windo'
  mend: did you mean 'window'?" compare $file --heuristics 'never;windo'
refuses_silently 2 "tscsim: --procedures: there is no procedure 'qemu/migrat'; did you mean 'qemu/migrate'?" compare $file --procedures own,qemu/migrat
refuses_silently 2 "tscsim: --procedures: the scenario does not use 'qemu/mgrate'; did you mean 'qemu/migrate'?" compare $file --procedures qemu/mgrate=documented/migrate
refuses_silently 2 "tscsim: --procedures: 'firecracker/restore' replaces nothing: it is for restore, and the scenario uses qemu/migrate" \
  compare $file --procedures firecracker/restore
refuses_silently 2 "tscsim: --procedures: 'qemu/migrate' replaces nothing: it is for migrate, and the scenario then uses documented/migrate" \
  compare $file --procedures documented/migrate+qemu/migrate
refuses_silently 2 "tscsim: --metrics: 'tsc_jmp' is no metric and nothing is captured so; did you mean 'tsc_jump'?" compare $file --metrics tsc_jmp
refuses_silently 2 "tscsim: --metrics: 'aftr' is no metric and nothing is captured so; did you mean 'after'?" compare $file --metrics aftr
refuses_silently 2 "tscsim: --metrics: 'after' has no field 'tcs'; did you mean 'tsc'?" compare $file --metrics after.tcs
refuses_silently 2 "tscsim: --metrics: 'soft_lockup' is of scenarios with a Linux guest, which this is not" compare $file --metrics soft_lockup
refuses_silently 2 "tscsim: --procedure-folder nowhere: there is no such folder" compare $file --procedure-folder nowhere
refuses_silently 2 "tscsim: --format is text or json or csv, not 'cvs'; did you mean 'csv'?" compare $file --format cvs
finish
