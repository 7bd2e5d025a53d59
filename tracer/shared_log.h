// Where the shims of all processes of a command write, and tscsim reads: one shared mapping, so that what was seen
// survives whatever becomes of the process that saw it, and needs no system call to be kept.
//
// A call that was seen takes the next free place and marks it complete at the end; a process that dies in between
// leaves a place that is not complete, which is skipped. KVM_RUN only counts in its vCPU's slot, and takes a place
// when something else was called on the VM since its last one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tracer/proc_files.h"
#include "tracer/raw_call.h"
#include "tracer/requests.h"

namespace tscsim::tracer {

inline constexpr std::size_t kLogCalls = 1 << 18;
inline constexpr std::size_t kMostVms = 1024;
inline constexpr std::size_t kMostVcpus = 4096;
inline constexpr std::size_t kMostTexts = 32;
inline constexpr std::uint64_t kLogMagic = 0x3130676f6c637374;  // "tsclog01"

struct LoggedCall {
  std::atomic<bool> complete{false};
  RawCall call;
};

// A vCPU's KVM_RUNs. Written by the thread that runs it.
struct VcpuSlot {
  std::uint32_t vm = kNoVm;
  std::int32_t vcpu = kNoVcpu;
  std::atomic<std::uint64_t> runs{0};
  std::uint64_t seen_changes = 0;   // VmSlot::changes at the last KVM_RUN that was kept
  std::atomic<bool> inside{false};  // `first` has begun and not returned
  RawCall first;
};

struct VmSlot {
  std::atomic<std::uint64_t> changes{0};  // calls other than KVM_RUN
  char command[kCommandBytes]{};          // of the process that made it
};

// What the shim has to say in words.
struct LogText {
  std::atomic<bool> complete{false};
  std::uint32_t pid = 0;
  std::array<char, 240> text{};
};

struct SharedLog {
  std::uint64_t magic = kLogMagic;
  std::atomic<std::uint32_t> vms{0};
  std::atomic<std::uint32_t> vcpus{0};
  std::atomic<std::uint32_t> calls{0};  // places taken; more than kLogCalls: the rest is lost
  std::atomic<std::uint32_t> texts{0};
  std::array<std::atomic<std::uint64_t>, kRequestKeys> others{};  // calls that are not recorded, by request_key()
  std::array<VmSlot, kMostVms + 1> vm{};
  std::array<VcpuSlot, kMostVcpus> vcpu{};
  std::array<LogText, kMostTexts> text{};
  std::array<LoggedCall, kLogCalls> call{};  // last: untouched pages cost nothing
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The environment variable with the path of the log.
inline constexpr const char* kLogVariable = "TSCSIM_TRACE_LOG";

}  // namespace tscsim::tracer
