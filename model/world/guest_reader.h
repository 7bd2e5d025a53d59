// A guest that reads its clocks again and again, and nothing else happens. As long as that is so, what its RDTSC and its
// kvmclock depend on does not change: an offset, a ratio, a page. A reader holds these few numbers, so that a reading is
// the arithmetic and no more.
//
//   if (auto reader = GuestReader::of(machine, vcpu, host)) {
//     for (...) total += reader->kvmclock(host_tsc);
//     reader->leave(machine, host_tsc);          // what the last reading leaves in the vCPU
//   }
//
// `of` is empty where a reading is more than arithmetic: a request is pending that the entry would serve, the TSC is
// unstable, the guest catches up at each exit, its thread has moved, or steal time is recorded at each entry. Between
// `of` and `leave` nothing else may be done with the machine, and no work that KVM put off may fall due. That readings and the state afterwards are those of the full
// operations is a test (guest_reader_test.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "model/kvm/machine.h"

namespace tscsim::model {

class GuestReader {
 public:
  // On pCPU `cpu`. The vCPU has been entered before.
  template <class HostType>
  static std::optional<GuestReader> of(Machine<std::uint64_t, HostType>& machine, int vcpu, int cpu,
                                       const HostType& host) {
    const Vcpu<std::uint64_t>& v = machine.vcpus()[static_cast<std::size_t>(vcpu)];
    const bool only_reads = (v.requests & ~kStealUpdate) == 0 && !v.steal_active() && !v.tsc_always_catchup &&
                            !v.tsc_offset_adjustment && v.cpu == cpu && !host.tsc_unstable() && v.page_active();
    if (!only_reads) return std::nullopt;
    const bool scales = machine.config().tsc_scaling || machine.config().tsc_in_software;
    return GuestReader(vcpu, v, scales, machine.page_at(v.page_address()));
  }

  // What the guest reads when the host's TSC is `host_tsc`.
  std::uint64_t tsc(std::uint64_t host_tsc) const { return offset_ + scaled(host_tsc); }
  std::uint64_t kvmclock(std::uint64_t host_tsc) const {
    return system_time_ + scale_delta(tsc(host_tsc) - tsc_timestamp_, scale_);
  }
  // Of many instants at once; ns.size() == host_tscs.size(). With AVX-512 where the CPU has it, with the same results.
  void kvmclocks(std::span<const std::uint64_t> host_tscs, std::span<std::uint64_t> ns) const;
  void kvmclocks_portable(std::span<const std::uint64_t> host_tscs, std::span<std::uint64_t> ns) const;
  static bool has_avx512();

  // The vCPU as the full operation leaves it, the last reading having been at `host_tsc`.
  template <class HostType>
  void leave(Machine<std::uint64_t, HostType>& machine, std::uint64_t host_tsc) const {
    Vcpu<std::uint64_t>& v = machine.vcpus()[static_cast<std::size_t>(vcpu_)];
    v.requests = 0;
    v.last_guest_tsc = v.l1_tsc_offset + scale_tsc(host_tsc, v.l1_tsc_scaling_ratio);
    v.last_host_tsc = host_tsc;
  }

 private:
  GuestReader(int vcpu, const Vcpu<std::uint64_t>& v, bool scales, const PvclockPage<std::uint64_t>& page)
      : vcpu_(vcpu),
        identity_(!scales || v.tsc_scaling_ratio.is_default()),
        offset_(v.tsc_offset),
        system_time_(page.system_time),
        tsc_timestamp_(page.tsc_timestamp),
        ratio_(v.tsc_scaling_ratio),
        scale_(page.scale) {}

  std::uint64_t scaled(std::uint64_t host_tsc) const {
    return identity_ ? host_tsc : static_cast<std::uint64_t>((u128{host_tsc} * ratio_.value) >> ratio_.fraction_bits);
  }

  int vcpu_;
  bool identity_;
  std::uint64_t offset_, system_time_, tsc_timestamp_;
  TscRatio ratio_;
  TimeScale scale_;
};

}  // namespace tscsim::model
