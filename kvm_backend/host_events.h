// What an executor may do to a host of its own: its TSC, its sleep, its CPUs. Never to a user's.
#pragma once

#include <cstdint>

namespace tscsim::kvm_backend {

// WRMSR of IA32_TSC on CPU `cpu` (the kernel's number), through msr.ko: the counter read there plus `cycles`, less
// what the way takes. Returns 0 or a positive errno.
int jump_tsc(int cpu, std::int64_t cycles);

// Whether that moves the TSC here. Tried once, by a second's worth of cycles forward: QEMU ignores the write.
bool tsc_can_jump(int cpu);

// S3. Returns when the host has resumed: 0 or a positive errno. What wakes it is the machine's business.
int suspend_to_ram();
bool can_suspend_to_ram();

// CPU hot-plug. Returns 0 or a positive errno.
int set_cpu_online(int cpu, bool online);
bool cpu_is_online(int cpu);

}  // namespace tscsim::kvm_backend
