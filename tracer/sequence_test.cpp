#include "tracer/sequence.h"

#include <gtest/gtest.h>

namespace tscsim::tracer {
namespace {

using ops::OpKind;
using Lines = std::vector<std::string>;

ops::Entry entry(OpKind kind, int vcpu, std::uint32_t msr = 0, std::uint64_t value = 0) {
  ops::Entry entry;
  entry.op.kind = kind;
  entry.op.vcpu = vcpu;
  entry.op.msr = msr;
  entry.op.value = value;
  return entry;
}

ops::Entry clock_read(std::uint64_t ns) {
  ops::Entry got = entry(OpKind::get_clock, ops::kVm);
  got.outcome.add(ops::Field::clock, ns);
  return got;
}

ops::Recording recording(std::uint32_t host_khz, std::vector<ops::Entry> entries) {
  ops::Recording made;
  made.header.profile.host_khz = host_khz;
  made.entries = std::move(entries);
  return made;
}

// The clock is given back; the rate is the host's; the TSC is a constant.
ops::Recording a_restore(std::uint32_t khz, std::uint64_t clock_ns) {
  return recording(khz,
                   {clock_read(clock_ns), entry(OpKind::set_tsc_khz, 0, 0, khz),
                    entry(OpKind::set_msr, 0, ops::msr::kIa32Tsc, 1), entry(OpKind::set_msr, 1, ops::msr::kIa32Tsc, 1),
                    entry(OpKind::set_clock, ops::kVm, 0, clock_ns), entry(OpKind::run, 0), entry(OpKind::run, 1)});
}

Lines all_differences(const ops::Recording& expected, const ops::Recording& seen) {
  return differences({expected, seen}, [](const ops::Operation&) { return true; });
}

TEST(Sequence, ValuesOfOneOriginAreEqual) {
  EXPECT_EQ(all_differences(a_restore(2'600'000, 7'000'000'000), a_restore(2'445'430, 9'123'456'789)), Lines{});
}

TEST(Sequence, EachDeviationIsOneLine) {
  const ops::Recording good = a_restore(2'600'000, 7'000'000'000);
  const struct {
    std::function<void(std::vector<ops::Entry>&)> change;
    const char* line;
  } rows[] = {
      {[](auto& e) { e.erase(e.begin() + 2); }, "- expected, not seen: set_msr vcpu 0 IA32_TSC"},
      {[](auto& e) { e.insert(e.begin(), entry(OpKind::kvmclock_ctrl, 1)); },
       "+ seen, not expected: kvmclock_ctrl vcpu 1"},
      {[](auto& e) { e[2].op.value = 0; }, "! set_msr vcpu 0 IA32_TSC: value 0, expected 1"},
      {[](auto& e) { e[4].op.value += 1; }, "! set_clock: value 7000000001, expected 7000000000"},
      {[](auto& e) { e[1].op.value = 2'599'998; }, "! set_tsc_khz vcpu 0: value 2599998, expected 2600000"},
      {[](auto& e) { e[3].outcome.error = 22; }, "! set_msr vcpu 1 IA32_TSC: errno 22, expected 0"},
  };
  for (const auto& row : rows) {
    ops::Recording changed = good;
    row.change(changed.entries);
    EXPECT_EQ(all_differences(good, changed), Lines{row.line});
  }
}

TEST(Sequence, AnotherOrderIsADifference) {
  const ops::Recording good = a_restore(2'600'000, 7'000'000'000);
  ops::Recording changed = good;
  std::swap(changed.entries[2], changed.entries[4]);  // the clock before the TSCs
  EXPECT_FALSE(all_differences(good, changed).empty());
}

TEST(Sequence, KvmRunsInARowCountOnceForEachVcpu) {
  const ops::Recording good = a_restore(2'600'000, 7'000'000'000);
  ops::Recording changed = good;
  for (const int vcpu : {1, 0, 0, 1}) changed.entries.push_back(entry(OpKind::run, vcpu));
  EXPECT_EQ(all_differences(good, changed), Lines{});
  changed.entries.push_back(entry(OpKind::kvmclock_ctrl, 0));
  changed.entries.push_back(entry(OpKind::run, 0));
  EXPECT_EQ(all_differences(good, changed).size(), 2u);
}

// A migration writes what was read on another host.
TEST(Sequence, ValuesMayComeFromAnotherHost) {
  const auto any = [](const ops::Operation&) { return true; };
  const auto source = [](std::uint64_t tsc) {
    ops::Entry got = entry(OpKind::get_msr, 0, ops::msr::kIa32Tsc);
    got.outcome.add(ops::Field::value, tsc);
    return recording(1, {got});
  };
  const auto target = [](std::uint64_t tsc) {
    return recording(1, {entry(OpKind::set_msr, 0, ops::msr::kIa32Tsc, tsc)});
  };
  const ops::Recording expected_source = source(5'000'000'000), seen_source = source(7'000'000'000);
  const ops::Recording expected = target(5'000'000'000), seen = target(7'000'000'000), wrong = target(7'000'000'001);
  EXPECT_EQ(differences({expected, seen}, any, {{expected_source, seen_source}}), Lines{});
  EXPECT_EQ(differences({expected, wrong}, any, {{expected_source, seen_source}}).size(), 1u);
  EXPECT_EQ(differences({expected, seen}, any).size(), 1u);
}

}  // namespace
}  // namespace tscsim::tracer
