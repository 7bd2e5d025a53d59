// The guest on the simulated host: what it chooses, what it notices, and what a jump does to its clocks. Whole stories are
// scenarios (scenarios/guest/); here is what the table of a rule says.
#include "model/guest/kernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "model/world/simulation.h"
#include "ops/program.h"

namespace tscsim::model::guest {
namespace {

using ops::GuestClock;
using ops::GuestClocksource;
using ops::GuestEventKind;
using ops::OpKind;

constexpr std::int64_t kSecond = 1'000'000'000;

// One host with a VM and its guest; operations in the order of their time.
class World {
 public:
  World(const ops::GuestSpec& spec, int vcpus = 1, ops::HostSpec host = {})
      : executor_(simulate({std::move(host)}, "")) {
    execute(OpKind::create_vm, ops::kVm);
    for (int vcpu = 0; vcpu < vcpus; ++vcpu) execute(OpKind::create_vcpu, vcpu);
    ops::Operation boot;
    boot.kind = OpKind::boot_guest;
    boot.guest = spec;
    run(boot);
  }

  ops::Outcome execute(OpKind kind, int vcpu, std::uint64_t value = 0) {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.value = value;
    return run(op);
  }
  void at(std::int64_t ns) { now_ns_ = ns; }
  std::int64_t read(GuestClock clock, int vcpu = 0) {
    ops::Operation op;
    op.kind = OpKind::read_clock;
    op.vcpu = vcpu;
    op.flags = static_cast<std::uint32_t>(clock);
    return static_cast<std::int64_t>(*run(op).find(ops::Field::ns));
  }
  std::uint64_t state(ops::Field field) { return *execute(OpKind::guest_state, ops::kVm).find(field); }
  int count(GuestEventKind kind) {
    return static_cast<int>(
        std::count_if(events_.begin(), events_.end(), [&](const ops::GuestEvent& e) { return e.kind == kind; }));
  }

  ops::Outcome run(ops::Operation op) {
    op.at_ns = now_ns_;
    ops::Entry entry = executor_->execute(op);
    events_.insert(events_.end(), entry.guest.begin(), entry.guest.end());
    return entry.outcome;
  }

 private:
  std::unique_ptr<ops::Executor> executor_;
  std::int64_t now_ns_ = 0;
  std::vector<ops::GuestEvent> events_;
};

ops::GuestSpec kernel(std::uint16_t major, std::uint16_t minor, bool invtsc = false) {
  ops::GuestSpec spec;
  spec.major = major;
  spec.minor = minor;
  spec.invtsc = invtsc;
  return spec;
}

// docs/spec/linux-guest.md 3.1: what a guest chooses, at boot and after its first second.
TEST(GuestKernel, ChoosesItsClocksource) {
  const struct {
    ops::GuestSpec spec;
    GuestClocksource at_boot, later;
  } cases[] = {
      {kernel(6, 12), GuestClocksource::kvm_clock, GuestClocksource::kvm_clock},
      {kernel(6, 12, true), GuestClocksource::tsc, GuestClocksource::tsc},
      {kernel(5, 10, true), GuestClocksource::kvm_clock,
       GuestClocksource::tsc},  // watched: chosen after the first good pass
      {kernel(4, 19, true), GuestClocksource::kvm_clock, GuestClocksource::kvm_clock},
  };
  for (const auto& c : cases) {
    World world(c.spec);
    EXPECT_EQ(world.state(ops::Field::clocksource), static_cast<std::uint64_t>(c.at_boot))
        << c.spec.major << "." << c.spec.minor;
    world.at(2 * kSecond);
    EXPECT_EQ(world.state(ops::Field::clocksource), static_cast<std::uint64_t>(c.later))
        << c.spec.major << "." << c.spec.minor;
  }
}

TEST(GuestKernel, ClocksAdvanceWithTheHost) {
  for (const bool invtsc : {false, true}) {
    World world(kernel(6, 12, invtsc), 2);
    world.at(kSecond);
    const std::int64_t monotonic = world.read(GuestClock::monotonic), realtime = world.read(GuestClock::realtime);
    const std::int64_t scheduler = world.read(GuestClock::sched_clock),
                       vdso = world.read(GuestClock::vdso_monotonic, 1);
    EXPECT_EQ(vdso, monotonic);
    world.at(11 * kSecond);
    // 2.6 GHz is 2600000 kHz to the guest, within a kHz: 4 us in 10 s.
    const auto off = [](std::int64_t later, std::int64_t earlier) { return std::abs(later - earlier - 10 * kSecond); };
    EXPECT_LE(off(world.read(GuestClock::monotonic), monotonic), 4000);
    EXPECT_LE(off(world.read(GuestClock::realtime), realtime), 4000);
    EXPECT_LE(off(world.read(GuestClock::sched_clock), scheduler), 4000);
    EXPECT_EQ(world.count(GuestEventKind::tsc_marked_unstable), 0);
  }
}

// docs/spec/linux-guest.md 5.5: kvmclock jumps by N while it is the clocksource, and no flag says so.
TEST(GuestKernel, DetectorsFollowTheirClocks) {
  const struct {
    std::int64_t jump_s;
    int soft_lockups, rcu_stalls;
  } cases[] = {{15, 0, 0}, {20, 0, 0}, {23, 1, 1}, {100, 1, 1}};
  for (const auto& c : cases) {
    World world(kernel(6, 12));
    world.at(5 * kSecond);
    const std::uint64_t clock = *world.execute(OpKind::get_clock, ops::kVm).find(ops::Field::clock);
    world.execute(OpKind::set_clock, ops::kVm, clock + static_cast<std::uint64_t>(c.jump_s * kSecond));
    world.at(15 * kSecond);
    world.read(GuestClock::monotonic);
    EXPECT_EQ(world.count(GuestEventKind::soft_lockup), c.soft_lockups) << c.jump_s;
    EXPECT_EQ(world.count(GuestEventKind::rcu_stall), c.rcu_stalls) << c.jump_s;
  }
}

// A stop in which both clocks count makes the watchdog's timer late. Two passes in one turn need more than half a second, wherever
// in its period the watchdog was, and one second always makes them.
TEST(GuestKernel, AStopMisleadsTheWatchdogOf71And72) {
  constexpr std::int64_t kMillisecond = 1'000'000;
  for (const std::int64_t begin_ms : {5010, 5130, 5250, 5370, 5490}) {
    const auto misled = [&](std::uint16_t major, std::uint16_t minor, std::int64_t stop_ms, bool kvmclock) {
      ops::GuestSpec spec = kernel(major, minor);
      spec.kvmclock = kvmclock;
      World world(spec);
      world.at(begin_ms * kMillisecond);
      world.execute(OpKind::pause_vm, ops::kVm);
      world.at((begin_ms + stop_ms) * kMillisecond);
      world.execute(OpKind::resume_vm, ops::kVm);
      world.at((begin_ms + stop_ms + 1000) * kMillisecond);
      const bool unstable = world.state(ops::Field::unstable) != 0;
      EXPECT_EQ(unstable, world.count(GuestEventKind::watchdog_misled) == 1);
      EXPECT_EQ(world.count(GuestEventKind::watchdog_unstable), 0);
      return unstable;
    };
    for (const bool kvmclock : {true, false}) {
      for (const std::int64_t stop_ms : {1000, 2000, 30'000, 42'000}) {
        EXPECT_TRUE(misled(7, 1, stop_ms, kvmclock)) << begin_ms << " " << stop_ms;
        EXPECT_TRUE(misled(7, 2, stop_ms, kvmclock)) << begin_ms << " " << stop_ms;
        EXPECT_FALSE(misled(7, 3, stop_ms, kvmclock)) << begin_ms << " " << stop_ms;
        EXPECT_FALSE(misled(6, 12, stop_ms, kvmclock)) << begin_ms << " " << stop_ms;
      }
      EXPECT_FALSE(misled(7, 2, 490, kvmclock)) << begin_ms;
    }
  }
}

// A stop of days is over as soon as one of seconds: passes that find nothing new are not made one by one.
TEST(GuestKernel, AStopOfDaysIsOverAtOnce) {
  for (const std::uint16_t minor : {std::uint16_t{1}, std::uint16_t{3}}) {
    World world(kernel(7, minor), 2);
    world.at(5 * kSecond);
    world.execute(OpKind::pause_vm, ops::kVm);
    world.at(30 * 86'400 * kSecond);
    world.execute(OpKind::resume_vm, ops::kVm);
    world.at(30 * 86'400 * kSecond + kSecond);
    EXPECT_EQ(world.state(ops::Field::unstable), minor == 1 ? 1u : 0u);
  }
}

TEST(GuestKernel, RefusesWhatAStoppedGuestCannotDo) {
  World world(kernel(6, 12), 2);
  EXPECT_EQ(world.execute(OpKind::offline_vcpu, 0).error, EBUSY);
  EXPECT_EQ(world.execute(OpKind::online_vcpu, 1).error, EALREADY);
  world.execute(OpKind::offline_vcpu, 1);
  EXPECT_EQ(world.execute(OpKind::read_clock, 1).error, ENODEV);
  world.execute(OpKind::pause_vm, ops::kVm);
  EXPECT_EQ(world.execute(OpKind::read_clock, 0).error, EAGAIN);
  EXPECT_EQ(world.execute(OpKind::pause_vm, ops::kVm).error, EALREADY);
  world.execute(OpKind::resume_vm, ops::kVm);
  EXPECT_EQ(world.execute(OpKind::read_clock, 0).error, 0);
}

}  // namespace
}  // namespace tscsim::model::guest
