// The bodies of Machine's functions, for the files that instantiate it.
#pragma once

#include "model/kvm/machine.h"
#include "model/kvm/tsc_sync.inl"
// After tsc_sync.inl, which defines scale() for both kinds of numbers.
#include "model/kvm/hyperv.inl"
#include "model/kvm/kvmclock.inl"
#include "model/kvm/lapic.inl"
#include "model/kvm/master_clock.inl"
#include "model/kvm/nested.inl"
#include "model/kvm/perform.inl"
#include "model/kvm/proposals.inl"
#include "model/kvm/steal_time.inl"
#include "model/kvm/vcpu_run.inl"
