// The named heuristics and their spelling in parameters, on random sequences of writes; and what is refused.
#include "model/kvm/sync_policy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "model/kvm/machine.h"
#include "ops/error.h"

namespace tscsim::model {
namespace {

class WritesHost final : public Host<std::uint64_t> {
 public:
  std::uint64_t ns = 3'000'000'000'000;
  bool unstable = false;
  std::uint64_t tsc() override { return ns / 10 * 26; }
  std::uint64_t base_ns() override { return ns; }
  std::uint64_t realtime_ns() override { return ns; }
  std::uint64_t run_delay_ns() override { return 0; }
  std::optional<ClockPair<std::uint64_t>> base_pair() override { return ClockPair<std::uint64_t>{ns, tsc()}; }
  std::optional<ClockPair<std::uint64_t>> realtime_pair() override { return base_pair(); }
  bool tsc_clocksource() const override { return true; }
  bool tsc_unstable() const override { return unstable; }
  void mark_tsc_unstable() override {}
  void schedule(DelayedWork, std::int64_t) override {}
};

struct Write {
  int vcpu = 0;
  bool by_guest = false;
  std::uint64_t value = 0;
  std::uint64_t gap_ns = 0;
  bool unstable = false;
};

// Values near where the last write would be by now, on either side of the window's edge; zeros; anything.
Write random_write() {
  Write write;
  write.vcpu = *rc::gen::inRange(0, 3);
  write.by_guest = *rc::gen::weightedElement<bool>({{3, false}, {1, true}});
  write.gap_ns = *rc::gen::element<std::uint64_t>(0, 1, 999, 400'000'000, 999'999'999, 1'000'000'000, 60'000'000'000);
  write.unstable = *rc::gen::weightedElement<bool>({{5, false}, {1, true}});
  const std::uint64_t second = 2'600'000'000;
  const auto around = *rc::gen::inRange<std::uint64_t>(0, 2'000);
  write.value = *rc::gen::element<std::uint64_t>(0, 1'000'000, second - 1'000 + around, 2 * second - 1'000 + around,
                                                 40 * second, ~std::uint64_t{0} - around);
  return write;
}

// What a sequence of writes leaves, after each: all that the heuristic decides.
std::vector<std::uint64_t> trail(const char* kernel, const char* heuristic, const std::vector<Write>& writes) {
  MachineConfig config;
  config.era = era_for(*KernelVersion::parse(kernel));
  config.policy = sync_policy(heuristic, config.era.heuristic);
  config.policy->adapt(config.era);
  config.host_khz = 2'600'000;
  Machine<std::uint64_t> machine(config);
  WritesHost host;
  machine.create_vm(host);
  for (int vcpu = 0; vcpu < 3; ++vcpu) {
    host.ns += 700'000'000;
    machine.create_vcpu(0, host);
  }
  std::vector<std::uint64_t> all;
  for (const Write& write : writes) {
    host.ns += write.gap_ns;
    host.unstable = write.unstable;
    if (write.by_guest) machine.guest_write_tsc(write.vcpu, write.value, host);
    else machine.host_write_tsc(write.vcpu, write.value, host);
    const auto& vm = machine.vm();
    for (const std::uint64_t x : {vm.last_tsc_nsec, vm.last_tsc_write, vm.cur_tsc_generation, vm.cur_tsc_nsec,
                                  vm.cur_tsc_write, vm.cur_tsc_offset, std::uint64_t(vm.nr_vcpus_matched_tsc)})
      all.push_back(x);
    for (const auto& vcpu : machine.vcpus()) {
      all.push_back(vcpu.l1_tsc_offset);
      all.push_back(vcpu.ia32_tsc_adjust);
    }
  }
  return all;
}

std::vector<Write> random_writes() {
  std::vector<Write> writes(static_cast<std::size_t>(*rc::gen::inRange(1, 12)));
  for (Write& write : writes) write = random_write();
  return writes;
}

// The rule of an older kernel, said in parameters on the kernel that replaced it.
struct SameRule {
  const char* kernel;
  const char* other_kernel;
  const char* parameters;  // on the other kernel
} const kSameRules[] = {
    {"4.4", "4.12", "compare=host_time_us,zero_write=value,creation=value,unstable_host=adds_thousandth"},
    {"4.12", "4.4", "base=window-us,compare=host_time,zero_write=joins,creation=joins,unstable_host=adds_elapsed"},
    {"5.9", "5.10", "guest_writes=join"},
    {"5.10", "5.4", "guest_writes=adjust"},
    {"6.7", "6.8", "after_user_write=no"},
    {"6.8", "6.7", "base=window,after_user_write=yes"},
    {"7.3", "5.10",
     "window=1s,compare=host_time,anchor=last_write,after_user_write=yes,unstable_host=adds_elapsed,joined_write=as_written"},
};

RC_GTEST_PROP(SyncPolicy, EachKernelsRuleIsAnInstance, ()) {
  const std::vector<Write> writes = random_writes();
  for (const SameRule& rule : kSameRules)
    RC_ASSERT(trail(rule.kernel, "", writes) == trail(rule.other_kernel, rule.parameters, writes));
}

RC_GTEST_PROP(SyncPolicy, ANameAndItsParametersAgree, ()) {
  const std::vector<Write> writes = random_writes();
  for (const PolicyInfo& info : sync_policies()) {
    if (info.parameters.empty()) continue;
    const std::string name(info.name);
    const std::string spelling = "base=window," + std::string(info.parameters);
    RC_ASSERT(trail("6.12", name.c_str(), writes) == trail("6.12", spelling.c_str(), writes));
  }
}

// The era diff is the table of docs/spec/kvm-timekeeping.md 3.5: host writes of values far from the last or close to where it would be
// by now, none of them 0 and the first one far, leave the same in all of them. Before 3.17 a vCPU that joins again counts
// again, so those are left out.
RC_GTEST_PROP(SyncPolicy, ErasAgreeOnWhatNeverChanged, ()) {
  std::vector<Write> writes;
  std::uint64_t value = 0;
  for (int i = 0, count = *rc::gen::inRange(1, 12); i < count; ++i) {
    Write write;
    write.vcpu = *rc::gen::inRange(0, 3);
    write.gap_ns = *rc::gen::inRange<std::uint64_t>(0, 5'000'000'000) / 10 * 10;
    const bool near = i > 0 && *rc::gen::arbitrary<bool>();
    const auto aside = *rc::gen::inRange<std::uint64_t>(0, 2'000'000'000);
    value += write.gap_ns / 10 * 26 + (near ? aside - 1'000'000'000 : 10'000'000'000'000 + aside);
    write.value = value;
    writes.push_back(write);
  }
  const auto newest = trail("7.3", "", writes);
  for (const char* kernel : {"3.19", "4.4", "4.12", "5.4", "5.10", "5.15", "5.16", "6.1", "6.8", "6.12", "6.17"})
    RC_ASSERT(trail(kernel, "", writes) == newest);
}

// And each entry of the table is a difference.
TEST(SyncPolicy, ErasDifferWhereTheSpecSays) {
  const std::uint64_t second = 2'600'000'000;
  const struct {
    const char* before;
    const char* after;
    std::vector<Write> writes;
    const char* what;
  } rows[] = {
      {"3.16",
       "3.17",
       {{1, false, 50 * second, 0, false}, {2, false, 50 * second, 0, false}, {2, false, 50 * second, 0, false}},
       "a vCPU that joins again"},
      {"4.11", "4.12", {{1, false, 0, 60'000'000'000, false}}, "a late 0"},
      {"4.11", "4.12", {{1, false, second / 2, 100'000'000, true}}, "a join on an unstable host"},
      {"5.9", "5.10", {{1, true, second / 2, 0, false}}, "a guest's write"},
      {"6.7", "6.8", {{1, false, second / 2, 0, false}}, "the first value that user space writes"},
  };
  for (const auto& row : rows)
    EXPECT_NE(trail(row.before, "", row.writes), trail(row.after, "", row.writes)) << row.what;
}

// Whatever was written before: one offset set on every vCPU in turn, and each entered, brings the master clock.
RC_GTEST_PROP(SyncPolicy, EqualOffsetsBringTheMasterClock, ()) {
  const char* const kernel = *rc::gen::element<const char*>("5.16", "6.1", "6.8", "6.12", "7.3", "7.4+clock-v6");
  MachineConfig config;
  config.era = era_for(*KernelVersion::parse_modelled(kernel));
  config.policy = sync_policy(config.era.heuristic);
  config.host_khz = 2'600'000;
  Machine<std::uint64_t> machine(config);
  WritesHost host;
  machine.create_vm(host);
  const int vcpus = *rc::gen::inRange(1, 4);
  for (int vcpu = 0; vcpu < vcpus; ++vcpu) machine.create_vcpu(0, host);
  const auto perform = [&](ops::OpKind kind, int vcpu, std::uint64_t value) {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.msr = kind == ops::OpKind::run ? 0 : ops::msr::kIa32Tsc;
    op.value = value;
    host.ns += 1'000;
    return machine.perform(op, 0, host);
  };
  for (const Write& write : random_writes()) {
    host.ns += write.gap_ns;
    perform(write.by_guest ? ops::OpKind::wrmsr : ops::OpKind::set_msr, write.vcpu % vcpus, write.value);
  }
  const auto offset = *rc::gen::arbitrary<std::uint64_t>();
  for (int vcpu = 0; vcpu < vcpus; ++vcpu) perform(ops::OpKind::set_tsc_offset, vcpu, offset);
  for (int vcpu = 0; vcpu < vcpus; ++vcpu) perform(ops::OpKind::run, vcpu, 0);
  RC_ASSERT(machine.vm().use_master_clock);
  host.ns += 1'000'000;
  ops::Operation clock;
  clock.kind = ops::OpKind::get_clock;
  RC_ASSERT((*machine.perform(clock, 0, host).find(ops::Field::flags) & ops::clock_flag::kTscStable) != 0U);
}

// One write 0.4 s after another of 1e9: which parameters let it join, and what is kept of it.
TEST(SyncPolicy, EachParameterDecides) {
  constexpr std::uint64_t kFirst = 1'000'000'000;
  const std::uint64_t kExpected = kFirst + scale_delta(400'000'000, ns_to_cycles(2'600'000));
  const struct {
    const char* heuristic;
    std::uint64_t second;
    bool joins;
    const char* why;
  } rows[] = {
      {"window=1s", kExpected + 2'599'999'999, true, "one cycle inside the second"},
      {"window=1s", kExpected + 2'600'000'000, false, "the window is open"},
      {"window=500ms", kExpected + 1'299'999'999, true, "one cycle inside"},
      {"window=500ms", kExpected + 1'300'000'000, false, "half a second"},
      {"window=500 ms", kExpected - 1'300'000'000, false, "and as far to the other side"},
      {"window=0s", kExpected, false, "no value joins"},
      {"window=0s", 0, true, "but 0 does"},
      {"window=unbounded", 1, true, "any value"},
      {"zero_write=own_generation,window=unbounded", 0, false, "0 never joins"},
      {"zero_write=value", 0, true, "0 is 2.04e9 cycles from where it would be, less than a second"},
      {"zero_write=value,window=100ms", 0, false, "and more than 100 ms"},
      {"same-value", kFirst, true, "the value last written"},
      {"same-value", kExpected, false, "another value"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(std::string(row.heuristic) + ": " + row.why);
    const std::vector<std::uint64_t> one = trail("6.12", row.heuristic, {{0, false, kFirst, 60'000'000'000, false}});
    const auto two = trail("6.12", row.heuristic,
                           {{0, false, kFirst, 60'000'000'000, false}, {1, false, row.second, 400'000'000, false}});
    EXPECT_EQ(two[one.size() + 2] == one[2], row.joins);  // cur_tsc_generation
  }
}

// The last write, at 0.8 s, was 0.9 s ahead and joined; the third is 1.8 s ahead of the generation, 0.9 s of the last.
TEST(SyncPolicy, TheAnchorIsWhereTheWindowIsMeasuredFrom) {
  const std::uint64_t second = 2'600'000'000;
  const std::vector<Write> writes = {{0, false, 0, 60'000'000'000, false},
                                     {1, false, second * 17 / 10, 800'000'000, false},
                                     {2, false, second * 34 / 10, 800'000'000, false}};
  const auto generations = [&](const char* heuristic) { return trail("5.18", heuristic, writes).at(2 * 13 + 2); };
  EXPECT_EQ(generations("zero_write=own_generation"), 2U);
  EXPECT_EQ(generations("zero_write=own_generation,anchor=generation"), 3U);
  EXPECT_EQ(generations("zero_write=own_generation,joined_write=on_the_line"), 3U);
  EXPECT_EQ(generations("zero_write=own_generation,compare=elapsed_tsc"), 3U) << "a join takes the generation's offset";
}

TEST(SyncPolicy, RefusesWhatItDoesNotKnow) {
  const struct {
    const char* text;
    const char* message;
    const char* mend;
  } rows[] = {
      {"windou", "unknown heuristic 'windou'", "did you mean 'window'?"},
      {"base=nevr,window=1s", "unknown heuristic 'nevr'", "did you mean 'never'?"},
      {"base=same-value,window=1s", "heuristic 'same-value' has no parameters",
       "base another one on it in C++: docs/heuristics.md"},
      {"windw=1s", "unknown parameter 'windw' of a heuristic", "did you mean 'window'?"},
      {"window=500", "window: expected a duration with a unit or 'unbounded', found '500'",
       "write such as 'window=500ms'"},
      {"window=-1s", "window: '-1s' is negative", "a window reaches either way from where the value is expected"},
      {"compare=host_tim", "compare: unknown value 'host_tim'", "did you mean 'host_time'?"},
      {"zero_write=banana", "zero_write: unknown value 'banana'", "one of joins, value, own_generation"},
      {"window=1s,never", "expected 'parameter=value', found 'never'", "write such as 'window=500ms,zero_write=value'"},
      {"window=1s,", "expected 'parameter=value', found ''", "write such as 'window=500ms,zero_write=value'"},
      {"window=1s,window=2s", "parameter 'window' is given twice", "give it once"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.text);
    try {
      sync_policy(row.text, "window");
      FAIL() << "accepted";
    } catch (const ops::InputError& error) {
      EXPECT_EQ(error.diagnostics().front().message, row.message);
      EXPECT_EQ(error.diagnostics().front().mend, row.mend);
    }
  }
}

TEST(SyncPolicy, ParametersAreWrittenAsTheyAreRead) {
  ops::HeuristicParameters odd;
  odd.window_ns = 1'500;
  odd.compare = ops::WindowCompare::elapsed_tsc;
  odd.creation = ops::ZeroRule::own_generation;
  odd.after_user_write = true;
  odd.unstable_host = ops::UnstableJoin::takes_offset;
  EXPECT_EQ(ops::to_text(odd),
            "window=1500ns,compare=elapsed_tsc,anchor=last_write,zero_write=joins,creation=own_generation,"
            "after_user_write=yes,guest_writes=kernel,unstable_host=takes_offset,joined_write=kernel");
  ops::HeuristicParameters read;
  EXPECT_FALSE(ops::split_heuristic(ops::to_text(odd)).apply(read).has_value());
  EXPECT_EQ(read, odd);
}

}  // namespace
}  // namespace tscsim::model
