// The guest: a loop in 64-bit mode that reads a command from its page, executes it, reports in the page and
// leaves by `out`, so that every guest operation is exactly one KVM_RUN that ends in an I/O exit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tscsim::kvm_backend {

// The port of the `out` that means "done".
inline constexpr std::uint16_t kDonePort = 0x10;

inline constexpr int kVectors = 32;               // the processor's own exceptions
inline constexpr std::size_t kVectorStride = 16;  // bytes of one exception entry

// The code, position independent. It expects r15 = guest address of its GuestPage and nothing else.
std::span<const std::byte> guest_code();

std::size_t guest_code_entry();       // where the loop starts, from the start of the code
std::size_t guest_code_exceptions();  // where the entry of vector 0 is; vector n lies n * kVectorStride further

}  // namespace tscsim::kvm_backend
