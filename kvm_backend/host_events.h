// What an executor may do to a host of its own: its TSC, its sleep, its CPUs. Never to a user's.
#pragma once

#include <cstdint>
#include <vector>

namespace tscsim::kvm_backend {

// WRMSR of IA32_TSC on CPU `cpu` (the kernel's number), through msr.ko: the counter read there plus `cycles`, less
// what the way takes. Returns 0 or a positive errno.
int jump_tsc(int cpu, std::int64_t cycles);

// Whether that moves the TSCs of `cpus`, tried there and back: QEMU ignores the write.
bool tsc_can_jump(const std::vector<int>& cpus);

// Jumps until each CPU shows the TSC of the first one, as near as a thread that goes from one to the other can tell (some
// microseconds): emulated CPUs start milliseconds apart, and KVM takes a host whose TSC goes backwards for unstable.
void bring_tscs_in_step(const std::vector<int>& cpus);

// S3. Returns when the host has resumed: 0 or a positive errno. What wakes it is the machine's business.
int suspend_to_ram();
bool can_suspend_to_ram();

// CPU hot-plug. Returns 0 or a positive errno.
int set_cpu_online(int cpu, bool online);
bool cpu_is_online(int cpu);

}  // namespace tscsim::kvm_backend
