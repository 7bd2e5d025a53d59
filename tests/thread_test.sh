#!/usr/bin/env bash
# docs/thread.md and the library agree: each scenario, file and page that it names exists, each scenario of
# scenarios/thread/ has its row. And its claim of fact about firmware holds in the recordings of QEMU: what ran in the guest
# wrote neither IA32_TSC nor IA32_TSC_ADJUST, for a guest's write of either is left in IA32_TSC_ADJUST
# (docs/spec/kvm-timekeeping.md 3.1), and that reads 0 whenever QEMU looks.
# Usage: thread_test.sh SOURCE_DIR. First shows that a wrong page and a firmware that writes would be noticed.
set -euo pipefail
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# exists NAME: a scenario of thread/ or of another folder, a file, or several by a pattern.
exists() {
  local found
  for found in scenarios/thread/$1.yaml scenarios/$1.yaml scenarios/$1 $1; do
    [[ -e $found ]] && return 0
  done
  compgen -G "scenarios/$1.yaml" >/dev/null || compgen -G "$1*" >/dev/null
}

# check_page PAGE: what is wrong with it, one line each. Only the last column names evidence; "-between-rates" goes on
# from the name before it.
check_page() {
  local name before="" file
  { grep '^| ' "$1" | awk -F'|' '{ print $(NF - 1) }' | grep -oE '`[^`]+`' || true; } | tr -d '`' | while read -r name; do
    case $name in
      -*) name=${before%/*}/documented-offsets$name ;;
      user_tsc | hotplug-behind | hotplug-sibling | hotplug-adjusted) continue ;;  # a clock; experiments of observed.md
    esac
    exists "$name" || echo "there is no scenario or file '$name'"
    before=$name
  done
  for file in scenarios/thread/*.yaml; do
    name=$(basename "$file" .yaml)
    grep -qF "\`$name\`" "$1" || echo "scenarios/thread/$name.yaml has no row"
  done
}

# adjusted RECORDING...: the values of IA32_TSC_ADJUST (MSR 59) that the VMM read after a vCPU had run, one line each.
adjusted() {
  awk '
    /"type": ?"header"/ { ran = 0 }
    /"kind": ?"run"/ { ran = 1 }
    ran && /"kind": ?"get_msr"/ && /"msr": ?59[,}]/ {
      if (match($0, /"fields": ?\{"value": ?"[0-9]+"/)) {
        value = substr($0, RSTART, RLENGTH)
        gsub(/[^0-9]/, "", value)
        print value
      }
    }' "$@"
}

sed -e 's/`creeping-window`/`creeping-windows`/' docs/thread.md >"$work/wrong.md"
if [[ $(check_page "$work/wrong.md" | wc -l) != 2 ]]; then
  echo "this test does not notice a wrong page"
  exit 1
fi
sed -E '/"msr": ?59[,}]/s/"fields": ?\{"value": ?"0"/"fields":{"value":"7"/' tests/recordings/qemu-reset.jsonl >"$work/wrong.jsonl"
if ! adjusted "$work/wrong.jsonl" | grep -qx 7; then
  echo "this test does not notice a firmware that writes its TSC"
  exit 1
fi

check_page docs/thread.md >"$work/faults"
adjusted tests/recordings/qemu-*.jsonl >"$work/adjusted"
grep -vx 0 "$work/adjusted" | sed 's/^/a guest under QEMU left IA32_TSC_ADJUST at /' >>"$work/faults" || true
cat "$work/faults"
[[ ! -s $work/faults ]] || exit 1
if [[ $(wc -l <"$work/adjusted") -lt 30 ]]; then
  echo "only $(wc -l <"$work/adjusted") readings of IA32_TSC_ADJUST were found: this test no longer reads them"
  exit 1
fi
echo "every claim's evidence exists; IA32_TSC_ADJUST was 0 in all $(wc -l <"$work/adjusted") readings after a guest had run"
