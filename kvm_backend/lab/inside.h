// What tscsim-init needs as the first process of a lab machine: file systems, modules, and ports instead of
// drivers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tscsim::kvm_backend::lab {

// /proc, /sys, /dev and, where the kernel has it, /sys/kernel/tracing. Throws std::runtime_error.
void mount_file_systems();

// Waits until the kernel has calibrated the TSC and uses the clocksource that its command line asks for.
// Until then the rate that KVM would take over may still change. False when that did not happen within 10 s
// of the machine's time.
bool wait_for_clocksource();

// Loads the modules of kModuleOrderFile, in that order. Throws std::runtime_error naming the module and the
// errno.
void load_modules(std::string_view parameters = "");

// Gives this process (and threads that it starts later) the I/O ports. Throws std::runtime_error.
void open_ports();

// The jobs' text: from QEMU's fw_cfg when there is one, else from kJobsFile.
std::string read_jobs();

// Bochs answers S3 with a reset at once, from which its firmware resumes the kernel; the TSC starts again from 0. QEMU
// resets a kernel that was entered through PVH for good.
bool wakes_from_s3();

// Complete when it returns: the emulator takes each byte in turn.
void write_result(std::string_view bytes);

// Bochs keeps the last bytes to itself until it ends or has more; this pushes them out, so that a machine that
// dies has said what it was about to do.
void flush_results();

// Ends the machine.
[[noreturn]] void power_off(std::uint8_t status);

}  // namespace tscsim::kvm_backend::lab
