// The page through which the host tells the guest what to do next and the guest says what came of it. Each
// vCPU has its own. The guest is stopped whenever the host touches it, so there is no race to protect
// against.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tscsim::kvm_backend {

enum class GuestCommand : std::uint64_t {
  nop = 0,
  rdtsc = 1,             // value
  rdtscp = 2,            // value, aux
  rdmsr = 3,             // msr -> value
  wrmsr = 4,             // msr, operand
  read_pvclock = 5,      // operand: guest address of the page; retry_limit -> ns .. page_flags
  rdtsc_pair = 6,        // value, aux: two readings back to back, for the probe
  spin = 7,              // never returns, for the watchdog's test
  read_hyperv_page = 8,  // operand: guest address of the page; retry_limit -> value, tsc, version, scale, offset
};

// Which vector the guest ran into, and the guest's own refusals above the vectors.
namespace guest_fault {
inline constexpr std::uint64_t kNone = ~std::uint64_t{0};
inline constexpr std::uint64_t kUndefinedOpcode = 6;
inline constexpr std::uint64_t kGeneralProtection = 13;
inline constexpr std::uint64_t kRetriesUsedUp = 256;  // read_pvclock: the version never stood still
inline constexpr std::uint64_t kUnknownCommand = 257;
inline constexpr std::uint64_t kPageInvalid = 258;  // read_hyperv_page: sequence 0
}  // namespace guest_fault

// The fields and where they lie; the assembler and the structure below are made from this one list.
// clang-format off
#define TSCSIM_GUEST_PAGE(FIELD)                                                            \
  FIELD(command, 0x00) FIELD(msr, 0x08) FIELD(operand, 0x10) FIELD(retry_limit, 0x18)       \
  FIELD(stack_top, 0x20) FIELD(fault, 0x28) FIELD(completed, 0x30) FIELD(value, 0x38)       \
  FIELD(aux, 0x40) FIELD(ns, 0x48) FIELD(tsc, 0x50) FIELD(version, 0x58)                    \
  FIELD(tsc_timestamp, 0x60) FIELD(system_time, 0x68) FIELD(mul, 0x70) FIELD(shift, 0x78)   \
  FIELD(page_flags, 0x80) FIELD(scale, 0x88) FIELD(offset, 0x90)
// clang-format on

struct GuestPage {
#define TSCSIM_FIELD(name, offset) std::uint64_t name = 0;
  TSCSIM_GUEST_PAGE(TSCSIM_FIELD)
#undef TSCSIM_FIELD
};

#define TSCSIM_FIELD(name, offset) static_assert(offsetof(GuestPage, name) == (offset));
TSCSIM_GUEST_PAGE(TSCSIM_FIELD)
#undef TSCSIM_FIELD

}  // namespace tscsim::kvm_backend
