// Boot, and vCPUs that come up: pages, ratings, the TSC's rate, TSC_ADJUST and the test of two TSCs.
// Kernel: Linux v6.12 arch/x86/kernel/kvmclock.c, tsc.c, tsc_sync.c; docs/spec/linux-guest.md 1.7, 2, 3.3, 7.1.
#include <algorithm>

#include "model/guest/detectors.h"
#include "model/guest/kernel.h"
#include "model/guest/tsc_sync.h"
#include "model/mutation.h"
#include "sim/wide.h"

namespace tscsim::model::guest {

using ops::GuestEventKind;

namespace {

constexpr std::uint64_t page_at(std::uint64_t pages, int vcpu) {
  return pages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride;
}

}  // namespace

GuestKernel::GuestKernel(const ops::GuestSpec& spec, Hardware& hardware)
    : GuestKernel(spec, hardware, guest_era_for({spec.major, spec.minor})) {}

GuestKernel::GuestKernel(const ops::GuestSpec& spec, Hardware& hardware, const GuestEra& era)
    : spec_(spec), era_(era), hw_(&hardware), cpus_(static_cast<std::size_t>(hardware.vcpus())) {
  if (spec.watchdog_max_skew_us != 0)  // of each clock twice that
    era_.margin_floor_ns =
        TSCSIM_MUTATE(guest_max_skew_ignored, 2000 * std::uint64_t{spec.watchdog_max_skew_us}, era_.margin_floor_ns);
  boot();
}

void GuestKernel::boot() {
  at(0).online = true;
  register_pages(0);
  sched_clock_stable_ = !spec_.kvmclock || page_is_stable(0) || !era_.filters_unstable_sched_clock;
  // Older kernels measure the TSC once more, with kvmclock, too.
  tsc_khz_ = hw_->tsc_khz(0);
  if (spec_.kvmclock && era_.known_frequency) tsc_khz_ = pvclock_tsc_khz(hw_->pvclock(0).scale);
  tsc_ = register_khz(tsc_khz_);
  kvm_clock_ = register_hz(1'000'000'000);
  hpet_ = register_clocksource(100'000'000, 1, 0xffff'ffff);
  native_clock_ = cyc2ns_for(tsc_khz_, hw_->rdtsc(0), 0);
  user_tsc_start_ = hw_->rdtsc(0);
  const bool counts_from_now =
      era_.sched_offset == SchedOffset::always || (era_.sched_offset == SchedOffset::if_stable && page_is_stable(0));
  if (spec_.kvmclock && counts_from_now) sched_offset_ = kvmclock(0);
  vdso_may_read_kvmclock_ = spec_.kvmclock && page_is_stable(0);
  if (spec_.tsc_adjust && era_.verifies_tsc_adjust) hw_->wrmsr(0, ops::msr::kIa32TscAdjust, 0);
  WatchdogFacts facts;
  facts.reliable = spec_.tsc == ops::TscOption::reliable;
  facts.nowatchdog = spec_.tsc == ops::TscOption::nowatchdog;
  facts.watchdog = spec_.tsc == ops::TscOption::watchdog;
  facts.invariant_tsc = spec_.invtsc;
  facts.tsc_adjust = spec_.tsc_adjust;
  facts.packages = spec_.packages;
  tsc_exempt_ = tsc_is_exempt(era_, facts);
  tsc_high_resolution_ = tsc_exempt_;
  select_clocksource(0);
  const WallTime wall = wall_now(0);
  base_.sec = wall.sec;
  base_.xtime_nsec = wall.nsec << params(current_).shift;
  to_monotonic_ns_ = -static_cast<std::int64_t>(wall.sec * kNsPerSecond + wall.nsec);
  watchdog_expires_ = spec_.hz / 2;
  scan_expires_ = kHungTask_s * spec_.hz;
  grace_period_ = {0, kRcuStall_s * spec_.hz};
  bring_up(0, nullptr);
  const int up = spec_.online == 0 ? hw_->vcpus() : std::min<int>(spec_.online, hw_->vcpus());
  for (int vcpu = 1; vcpu < up; ++vcpu) bring_up(vcpu, nullptr);
}

int GuestKernel::first_online() const {
  return static_cast<int>(std::find_if(cpus_.begin(), cpus_.end(), [](const Cpu& cpu) { return cpu.online; }) -
                          cpus_.begin());
}

void GuestKernel::register_pages(int vcpu) {
  if (spec_.kvmclock) hw_->wrmsr(vcpu, ops::msr::kKvmSystemTimeNew, page_at(ops::layout::kPvclockPages, vcpu) | 1);
  hw_->wrmsr(vcpu, ops::msr::kKvmStealTime, page_at(ops::layout::kStealTimes, vcpu) | 1);
}

void GuestKernel::bring_up(int vcpu, const ops::Operation* op) {
  Cpu& cpu = at(vcpu);
  if (vcpu != 0) {
    register_pages(vcpu);
    const int moved_to = op == nullptr ? ops::kAllPcpus : op->pcpu;
    if (!tsc_adjust_makes_test_needless(vcpu) && !tsc_unstable_ && spec_.tsc != ops::TscOption::reliable)
      test_tsc(vcpu, moved_to);
    cpu.online = true;
  }
  const std::int64_t now = monotonic(vcpu);
  cpu.tick_next_ns = now + tick_ns();
  cpu.lockup_next_ns = now + static_cast<std::int64_t>(kLockupPeriod_ns);
  cpu.tick_gtod_ns = now;
  cpu.tick_raw_ns = sched_clock(vcpu);
  cpu.rq_clock = cpu.tick_raw_ns;
  cpu.lockup_reference_ns = local_clock(vcpu);
  cpu.steal_prev = cpu.rq_steal_prev = hw_->steal_ns(vcpu);
  arm(vcpu);
}

// Kernel: tsc_store_and_check_tsc_adjust(). True when TSC_ADJUST was made equal to a sibling's.
bool GuestKernel::tsc_adjust_makes_test_needless(int vcpu) {
  if (!spec_.tsc_adjust || !era_.verifies_tsc_adjust) return false;
  Cpu& cpu = at(vcpu);
  cpu.tsc_adjusted = hw_->rdmsr(vcpu, ops::msr::kIa32TscAdjust);
  for (int other = 0; other < hw_->vcpus(); ++other) {
    if (other == vcpu || !at(other).online || package_of(other) != package_of(vcpu)) continue;
    if (cpu.tsc_adjusted != at(other).tsc_adjusted) {
      const std::uint64_t difference = at(other).tsc_adjusted - cpu.tsc_adjusted;
      hw_->wrmsr(vcpu, ops::msr::kIa32TscAdjust, at(other).tsc_adjusted);
      cpu.tsc_adjusted = at(other).tsc_adjusted;
      tell(GuestEventKind::tsc_adjusted, vcpu, difference);
    }
    return true;
  }
  return false;
}

// Two vCPUs on one pCPU never read within a time slice of each other.
std::uint64_t GuestKernel::shared_turn_cycles(int a, int b) const {
  const auto turn = static_cast<std::uint64_t>(hw_->turn_ns(a, b));
  return std::max(kUsualGap_cycles, sim::mul_div(turn, tsc_khz_, 1'000'000));
}

void GuestKernel::test_tsc(int vcpu, int moved_to) {
  const int source = first_online();
  const auto stretch = [&] {
    return SyncStretch{static_cast<std::int64_t>(hw_->rdtsc(vcpu) - hw_->rdtsc(source)),
                       shared_turn_cycles(vcpu, source)};
  };
  std::vector<SyncStretch> first{stretch()};
  if (moved_to != ops::kAllPcpus) {
    hw_->move_vcpu(vcpu, moved_to);
    first.push_back(stretch());
  }
  const SyncTestResult result = sync_test(era_.sync_test, spec_.tsc_adjust, first, first.back());
  if (result.adjust != 0) {
    Cpu& cpu = at(vcpu);
    cpu.tsc_adjusted = hw_->rdmsr(vcpu, ops::msr::kIa32TscAdjust) + static_cast<std::uint64_t>(result.adjust);
    hw_->wrmsr(vcpu, ops::msr::kIa32TscAdjust, cpu.tsc_adjusted);
    tell(GuestEventKind::tsc_adjusted, vcpu, static_cast<std::uint64_t>(result.adjust));
  }
  if (result.passed) return;
  tell(GuestEventKind::tsc_warp, vcpu, result.warps.back());
  mark_tsc_unstable(ops::UnstableReason::sync_test, source);
}

}  // namespace tscsim::model::guest
