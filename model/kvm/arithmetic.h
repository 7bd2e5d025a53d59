// KVM's fixed-point arithmetic on clocks: TSC ratios, scaling, and the (multiplier, shift) pairs that turn cycles into
// nanoseconds. Bit-exact, on plain integers. Spec: docs/spec/kvm-timekeeping.md 1.
#pragma once

#include <cstdint>
#include <optional>

#include "model/members.h"

namespace tscsim::model {

using u128 = unsigned __int128;

enum class Vendor : std::uint8_t { vmx, svm };

// Number of fraction bits of a TSC ratio: 48 in the VMCS field TSC_MULTIPLIER, 32 in AMD's MSR TSC_RATIO.
constexpr int ratio_fraction_bits(Vendor vendor) { return vendor == Vendor::vmx ? 48 : 32; }

// Guest cycles per host cycle, fixed point.
struct TscRatio {
  std::uint64_t value = std::uint64_t{1} << 32;
  int fraction_bits = 32;
  TSCSIM_MEMBERS(value, fraction_bits)
  constexpr bool is_default() const { return value == std::uint64_t{1} << fraction_bits; }
  friend constexpr bool operator==(const TscRatio&, const TscRatio&) = default;
};
constexpr TscRatio default_ratio(Vendor vendor) {
  return {std::uint64_t{1} << ratio_fraction_bits(vendor), ratio_fraction_bits(vendor)};
}

// (tsc * ratio) >> fraction bits of the 128-bit product, low 64 bits; the identity for the default ratio.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c kvm_scale_tsc().
constexpr std::uint64_t scale_tsc(std::uint64_t tsc, TscRatio ratio) {
  if (ratio.is_default()) return tsc;
  return static_cast<std::uint64_t>((u128{tsc} * ratio.value) >> ratio.fraction_bits);
}

// The ratio for a requested rate, before any tolerance test: floor(2^frac * user / host). nullopt when it is zero or
// not below the vendor's maximum. Rates in kHz, host_khz > 0.
// Kernel: Linux v7.2 x86.c set_tsc_khz().
std::optional<TscRatio> ratio_for(Vendor vendor, std::uint32_t user_khz, std::uint32_t host_khz);
// The same without the acceptance test.
TscRatio raw_ratio_for(Vendor vendor, std::uint32_t user_khz, std::uint32_t host_khz);

// KVM_SET_TSC_KHZ refuses rates from here on when the hardware scales.
std::uint32_t max_guest_tsc_khz(Vendor vendor, std::uint32_t host_khz);

// Band of requested rates for which no scaling is done; both ends inclusive, both rounded down. kHz.
struct ToleranceBand {
  std::uint32_t lo_khz = 0;
  std::uint32_t hi_khz = 0;
  constexpr bool contains(std::uint32_t khz) const { return khz >= lo_khz && khz <= hi_khz; }
};
inline constexpr std::uint32_t kDefaultTolerancePpm = 250;  // kvm.tsc_tolerance_ppm
ToleranceBand tolerance_band(std::uint32_t host_khz, std::uint32_t ppm = kDefaultTolerancePpm);

// scaled = ((base << shift) * mul) >> 32, a right shift when shift is negative.
struct TimeScale {
  std::uint32_t mul = 0;
  std::int8_t shift = 0;
  TSCSIM_MEMBERS(mul, shift)
  friend constexpr bool operator==(const TimeScale&, const TimeScale&) = default;
};

// Multiplier and shift that convert counts at base_hz into counts at scaled_hz. base_hz > 0 (the kernel's own
// function never returns for 0).
// Kernel: Linux v7.2 x86.c kvm_get_time_scale().
TimeScale time_scale(std::uint64_t scaled_hz, std::uint64_t base_hz);
inline TimeScale cycles_to_ns(std::uint32_t khz) { return time_scale(1'000'000'000, std::uint64_t{khz} * 1000); }
inline TimeScale ns_to_cycles(std::uint32_t khz) { return time_scale(std::uint64_t{khz} * 1000, 1'000'000'000); }

// time_scale() to or from nanoseconds, computed again only when the rate is another.
class RememberedScale {
 public:
  TimeScale to_ns(std::uint64_t hz) const {
    return find(hz, to_ns_, [hz] { return time_scale(1'000'000'000, hz); });
  }
  TimeScale from_ns(std::uint64_t hz) const {
    return find(hz, from_ns_, [hz] { return time_scale(hz, 1'000'000'000); });
  }

 private:
  struct Known {
    std::uint64_t hz = 0;
    TimeScale scale;
  };
  template <class Compute>
  static TimeScale find(std::uint64_t hz, Known& known, Compute compute) {
    if (known.hz != hz || hz == 0) known = {hz, compute()};
    return known.scale;
  }
  mutable Known to_ns_, from_ns_;
};

// The conversion itself. The difference is unsigned; a left shift drops high bits, a right shift drops low bits
// before the product.
// Kernel: Linux v7.2 arch/x86/include/asm/pvclock.h pvclock_scale_delta().
constexpr std::uint64_t scale_delta(std::uint64_t delta, TimeScale scale) {
  delta = scale.shift < 0 ? delta >> -scale.shift : delta << scale.shift;
  return static_cast<std::uint64_t>((u128{delta} * scale.mul) >> 32);
}
// Largest delta for which scale_delta() loses no high bit, hence is monotone up to there.
constexpr std::uint64_t scale_delta_domain(TimeScale scale) {
  return scale.shift <= 0 ? ~std::uint64_t{0} : ~std::uint64_t{0} >> scale.shift;
}

// What L2 runs with, given what L0 gave L1 and L1 gave L2. Signed scaling rounds toward zero.
// Kernel: Linux v7.2 x86.c kvm_calc_nested_tsc_offset(), kvm_calc_nested_tsc_multiplier().
std::uint64_t nested_tsc_offset(std::uint64_t l1_offset, std::uint64_t l2_offset, TscRatio l2_ratio);
TscRatio nested_tsc_ratio(TscRatio l1_ratio, TscRatio l2_ratio);

// The guest's idea of the TSC rate from its pvclock page, in kHz. mul > 0.
// Kernel: Linux v7.2 arch/x86/kernel/pvclock.c pvclock_tsc_khz().
std::uint32_t pvclock_tsc_khz(TimeScale page);

// A clocksource reading as the timekeeper holds it: ns = ((base_cycles + (tsc - cycle_last) * mult) >> shift).
struct ClockBase {
  std::uint64_t cycle_last = 0;
  std::uint64_t mask = ~std::uint64_t{0};
  std::uint64_t xtime_nsec = 0;  // shifted nanoseconds
  std::uint32_t mult = 0;
  std::uint32_t shift = 0;
};
constexpr std::uint64_t clock_ns(const ClockBase& clock, std::uint64_t tsc) {
  const std::uint64_t delta = (tsc - clock.cycle_last) & clock.mask;
  return (clock.xtime_nsec + delta * clock.mult) >> clock.shift;
}

// Hyper-V's reference TSC page: time in 100 ns units is ((tsc * scale) >> 64) + offset.
// Kernel: Linux v7.2 arch/x86/kvm/hyperv.c compute_tsc_page_parameters().
struct ReferenceTscPage {
  std::uint64_t scale = 0;
  std::uint64_t offset = 0;
  constexpr std::uint64_t time_100ns(std::uint64_t tsc) const {
    return static_cast<std::uint64_t>((u128{tsc} * scale) >> 64) + offset;
  }
};
std::optional<ReferenceTscPage> reference_tsc_page(std::uint64_t tsc_timestamp, std::uint64_t system_time,
                                                   TimeScale scale, bool tsc_stable);

// APIC deadline to nanoseconds: the product wraps at 2^64 as in the kernel. khz > 0.
// Kernel: Linux v7.2 arch/x86/kvm/lapic.c start_sw_tscdeadline().
constexpr std::uint64_t tsc_deadline_ns(std::uint64_t deadline, std::uint64_t guest_tsc, std::uint32_t khz) {
  return (deadline - guest_tsc) * 1'000'000 / khz;
}

// VMX preemption timer: host cycles for a guest delta. nullopt when it does not fit in 64 bits.
// Kernel: Linux v7.2 arch/x86/kvm/vmx/vmx.c vmx_set_hv_timer().
std::optional<std::uint64_t> preemption_timer_delta(std::uint64_t guest_delta, TscRatio ratio);

}  // namespace tscsim::model
