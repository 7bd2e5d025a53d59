#include "ops/guest.h"

namespace tscsim::ops {
namespace {

constexpr std::array<std::string_view, kGuestClocks> kClocks{"monotonic",   "realtime",       "boottime",
                                                             "sched_clock", "vdso_monotonic", "user_tsc"};
constexpr std::array<std::string_view, kGuestClocksources> kClocksources{"auto", "tsc", "kvm-clock", "hpet"};
constexpr std::array<std::string_view, kTscOptions> kOptions{"none", "reliable", "nowatchdog", "watchdog"};

struct EventInfo {
  std::string_view name, text;
};
constexpr std::array<EventInfo, kGuestEventKinds> kEvents{{
    {"clocksource_switched", "The guest took another clocksource."},
    {"tsc_marked_unstable", "The guest marked its TSC unstable, for good."},
    {"watchdog_unstable", "The guest's clocksource watchdog found the TSC off by more than it allows."},
    {"watchdog_skipped", "The guest's clocksource watchdog passed an interval over, because it was too long."},
    {"watchdog_disarmed",
     "The guest's clocksource watchdog took its reference anew, because the watchdogs had been touched."},
    {"stop_flag_consumed", "The guest found PVCLOCK_GUEST_STOPPED in a vCPU's page and cleared it."},
    {"soft_lockup", "The guest reported a soft lockup."},
    {"rcu_stall", "The guest reported an RCU stall."},
    {"hung_task", "The guest reported a hung task."},
    {"tsc_warp", "The TSC test at the bring-up of a vCPU measured a warp and could not correct it."},
    {"tsc_adjusted", "The bring-up of a vCPU wrote its TSC_ADJUST."},
    {"tsc_adjust_restored", "The guest found another TSC_ADJUST than it remembered, and wrote it back."},
    {"accumulation_spun", "A tick of the guest went round more than a million times with interrupts off."},
    {"watchdog_misled",
     "The guest's clocksource watchdog ran twice within microseconds and took the noise of its readings for skew."},
}};

template <class Enum, std::size_t N>
std::optional<Enum> from(const std::array<std::string_view, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<Enum>(i);
  return std::nullopt;
}

}  // namespace

std::string_view name_of(GuestClock clock) { return kClocks.at(static_cast<std::size_t>(clock)); }
std::string_view name_of(GuestClocksource clocksource) {
  return kClocksources.at(static_cast<std::size_t>(clocksource));
}
std::string_view name_of(TscOption option) { return kOptions.at(static_cast<std::size_t>(option)); }
std::string_view name_of(GuestEventKind kind) { return kEvents.at(static_cast<std::size_t>(kind)).name; }
std::string_view describe(GuestEventKind kind) { return kEvents.at(static_cast<std::size_t>(kind)).text; }

std::optional<GuestClock> guest_clock_from(std::string_view name) { return from<GuestClock>(kClocks, name); }
std::optional<GuestClocksource> guest_clocksource_from(std::string_view name) {
  return from<GuestClocksource>(kClocksources, name);
}
std::optional<TscOption> tsc_option_from(std::string_view name) { return from<TscOption>(kOptions, name); }

std::optional<GuestEventKind> guest_event_from(std::string_view name) {
  for (std::size_t i = 0; i < kGuestEventKinds; ++i)
    if (kEvents[i].name == name) return static_cast<GuestEventKind>(i);
  return std::nullopt;
}

}  // namespace tscsim::ops
