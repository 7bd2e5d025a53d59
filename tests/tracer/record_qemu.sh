#!/usr/bin/env bash
# Records what QEMU does to its guests' clocks, case by case, for tests/recordings/qemu-*.jsonl.
# Usage: [ON=lab:6.12] [WITH=ptrace] record_qemu.sh TSCSIM FOLDER [CASE...]. Needs qemu-system-x86_64, qemu-img, and /dev/kvm
# or the lab. Each case is a function below: a shell script that tscsim records, talking QMP over standard input. What the
# guest runs is QEMU's firmware.
set -euo pipefail
tscsim=$1 folder=$2
shift 2

# qmp COMMAND...: one line each, half a second apart; "sleep N" waits longer.
qmp() {
  echo '{"execute":"qmp_capabilities"}'
  for command; do
    sleep 0.5
    case $command in
      sleep\ *) sleep "${command#sleep }" ;;
      \{*) echo "$command" ;;
      hmp\ *) echo "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"${command#hmp }\"}}" ;;
      *) echo "{\"execute\":\"$command\"}" ;;
    esac
  done
  sleep 0.5
  echo '{"execute":"quit"}'
  sleep 0.5
}

qemu() { qemu-system-x86_64 -accel kvm -nodefaults -display none -m 32 -qmp stdio "$@"; }
qemu64() { qemu -cpu qemu64 "$@"; }

start-1() { qmp | qemu64; }
start-2() { qmp | qemu64 -smp 2; }
start-4() { qmp | qemu64 -smp 4; }
start-paused() { qmp cont | qemu64 -S; }
stop-cont() { qmp stop cont 'sleep 1' stop cont | qemu64 -smp 2; }
reset() { qmp 'sleep 1' system_reset 'sleep 1' system_reset | qemu64 -smp 2; }
save-load() {
  qemu-img create -q -f qcow2 "$TMP_CASE/disk" 16M
  qmp 'hmp savevm a' 'sleep 1' 'hmp loadvm a' | qemu64 -smp 2 -drive if=none,id=disk,file="$TMP_CASE/disk"
}
migrate() {
  qmp "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"exec:cat>$TMP_CASE/state\"}}" 'sleep 1.5' | qemu64 -smp 2
  qmp 'sleep 1' stop cont | qemu64 -smp 2 -incoming "exec:cat $TMP_CASE/state"
}
hotplug() {
  qmp '{"execute":"device_add","arguments":{"driver":"qemu64-x86_64-cpu","id":"c1","socket-id":1,"core-id":0,"thread-id":0}}' stop cont |
    qemu64 -smp 1,maxcpus=2,sockets=2,cores=1
}
# Two kHz below the host's rate: inside the tolerance, so that the new vCPU is one of another rate for a while.
hotplug-tsc-frequency() {
  qmp '{"execute":"device_add","arguments":{"driver":"qemu64-x86_64-cpu","id":"c1","socket-id":1,"core-id":0,"thread-id":0}}' stop cont |
    qemu -cpu "qemu64,tsc-frequency=$((HOST_KHZ * 1000 - 2000))" -smp 1,maxcpus=2,sockets=2,cores=1
}
tsc-frequency() { qmp stop cont | qemu -cpu "qemu64,tsc-frequency=$((HOST_KHZ * 1000 - 2000))" -smp 2; }

cases=(start-1 start-2 start-4 start-paused stop-cont reset save-load migrate hotplug hotplug-tsc-frequency tsc-frequency)
on=${ON:-native}
if [[ $on == native ]]; then
  host_khz=$("$tscsim" doctor --format json | sed -n 's/.*"host_khz": *\([0-9]*\).*/\1/p' | head -n 1)
  place='' options=()
else
  host_khz=2000000 place=-${on/:/-} # as the lab's machines are told
  options=(--on "$on" --bring bash --bring qemu-img --bring qemu-system-x86_64)
fi

# The case with all that it needs, for a shell that knows nothing of this one.
script() {
  declare -f qmp qemu qemu64 "$1"
  echo "TMP_CASE=\$(mktemp -d) HOST_KHZ=$host_khz; $1; rm -r \$TMP_CASE"
}

[[ $# -gt 0 ]] || set -- "${cases[@]}"
log=$(mktemp)
trap 'rm "$log"' EXIT
for name; do
  "$tscsim" trace -o "$folder/qemu-$name$place.jsonl" --with "${WITH:-auto}" "${options[@]}" -- bash -c "$(script "$name")" >"$log" 2>&1 ||
    { cat "$log"; exit 1; }
  grep '^tscsim: recorded' "$log" | sed "s/^tscsim:/$name:/"
done
