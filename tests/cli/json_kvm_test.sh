#!/usr/bin/env bash
# The same for the commands that need a KVM.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
have_kvm || skip "/dev/kvm cannot be opened here"

write_scenario good 1
wants_object 0 'exact bracketed undecided=0 mismatch=0 unsupported' crosscheck good.yaml --on native
wants_object 0 'target="native" kernel tsc_scaling offset_attribute honours_tsc_offset' doctor
finish
