// The Linux guest in the vocabulary: how it is configured when it boots, which clocks a program in it can read, and what its
// kernel says of itself meanwhile. Only the model has such a guest; real targets run a few hundred bytes of code instead.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tscsim::ops {

// Clocks that a program in the guest reads.
enum class GuestClock : std::uint8_t {
  monotonic,       // CLOCK_MONOTONIC, by the system call
  realtime,        // CLOCK_REALTIME
  boottime,        // CLOCK_BOOTTIME
  sched_clock,     // the kernel's own: printk, soft lockups, run times
  vdso_monotonic,  // CLOCK_MONOTONIC without entering the kernel, where the vDSO can
  user_tsc,        // a program that trusts an invariant TSC: RDTSC at the rate that it measured when it started
};
inline constexpr std::size_t kGuestClocks = 6;

// The guest's current_clocksource.
enum class GuestClocksource : std::uint8_t { automatic, tsc, kvm_clock, hpet };
inline constexpr std::size_t kGuestClocksources = 4;

// The boot option `tsc=`.
enum class TscOption : std::uint8_t { none, reliable, nowatchdog, watchdog };
inline constexpr std::size_t kTscOptions = 4;

// Operation::guest of boot_guest.
struct GuestSpec {
  std::uint16_t major = 0, minor = 0;                          // of its kernel
  std::uint16_t hz = 250;                                      // CONFIG_HZ
  GuestClocksource clocksource = GuestClocksource::automatic;  // boot option `clocksource=`
  TscOption tsc = TscOption::none;
  bool invtsc = false;                     // CPUID says that the TSC is invariant
  bool tsc_adjust = true;                  // CPUID says that there is TSC_ADJUST
  bool kvmclock = true;                    // without boot option `no-kvmclock`
  std::uint8_t packages = 1;               // sockets that the vCPUs are spread over
  std::uint8_t online = 0;                 // vCPUs that come up at boot; 0: all
  std::uint16_t watchdog_max_skew_us = 0;  // CONFIG_CLOCKSOURCE_WATCHDOG_MAX_SKEW_US, 50 to 1000; 0: the default
  friend bool operator==(const GuestSpec&, const GuestSpec&) = default;
};

// What the guest's kernel found or did. A metric of the same name counts each kind.
enum class GuestEventKind : std::uint8_t {
  clocksource_switched,  // value: GuestClocksource
  tsc_marked_unstable,   // value: UnstableReason
  watchdog_unstable,     // value: by how much the TSC was off, ns
  watchdog_skipped,      // value: the interval, ns
  watchdog_disarmed,     // the reference was taken anew; value: how many times more it will be
  stop_flag_consumed,    // PVCLOCK_GUEST_STOPPED was found and cleared
  soft_lockup,           // value: as printed, units of 2^30 ns
  rcu_stall,             // value: jiffies since the grace period began
  hung_task,             // value: seconds since the task last ran
  tsc_warp,              // value: cycles that the test at bring-up measured last
  tsc_adjusted,          // value: what bring-up added to TSC_ADJUST, signed
  tsc_adjust_restored,   // value: what it was written back to
  accumulation_spun,     // value: rounds of the tick's loop, with interrupts off
  watchdog_misled,       // it ran twice in a row and took the noise of its readings for skew
};
inline constexpr std::size_t kGuestEventKinds = 14;

enum class UnstableReason : std::uint8_t { watchdog, sync_test, skew_between_vcpus };

struct GuestEvent {
  GuestEventKind kind{};
  std::int32_t vcpu = 0;
  std::int64_t at_ns = 0;  // scenario time
  std::uint64_t value = 0;
  friend bool operator==(const GuestEvent&, const GuestEvent&) = default;
};

std::string_view name_of(GuestClock clock);
std::string_view name_of(GuestClocksource clocksource);
std::string_view name_of(TscOption option);
std::string_view name_of(GuestEventKind kind);
std::string_view describe(GuestEventKind kind);
std::optional<GuestClock> guest_clock_from(std::string_view name);
std::optional<GuestClocksource> guest_clocksource_from(std::string_view name);
std::optional<TscOption> tsc_option_from(std::string_view name);
std::optional<GuestEventKind> guest_event_from(std::string_view name);

}  // namespace tscsim::ops
