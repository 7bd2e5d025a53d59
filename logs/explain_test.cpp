#include "logs/explain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "logs/explain_text.h"
#include "logs/import.h"
#include "logs/page_step.h"

namespace tscsim::logs {
namespace {

// Events of one VM, from its creation on.
std::string trace(std::initializer_list<const char*> events) {
  std::string text;
  int n = 0;
  for (const char* event : events)
    text += "  vmm-1 [000] ..... 1." + std::to_string(100000 + ++n) + ": " + event + "\n";
  return text;
}

Explanation told(const std::string& text) {
  std::istringstream in(text);
  return explain(import_trace(in, "LOG", "ftrace", {}).vms.at(0).recording);
}

const Finding* find(const Explanation& explanation, const std::string& id) {
  const auto found = std::find_if(explanation.findings.begin(), explanation.findings.end(),
                                  [&](const Finding& f) { return f.id == id; });
  return found == explanation.findings.end() ? nullptr : &*found;
}

#define CREATED "kvm_update_master_clock: masterclock 0 hostclock tsc offsetmatched 0"
#define FIRST                                      \
  "kvm_write_tsc_offset: vcpu=0 prev=0 next=5000", \
      "kvm_track_tsc: vcpu_id 0 masterclock 0 offsetmatched 0 nr_online 1 hostclock tsc"
#define SECOND                                     \
  "kvm_write_tsc_offset: vcpu=1 prev=0 next=5000", \
      "kvm_track_tsc: vcpu_id 1 masterclock 0 offsetmatched 1 nr_online 2 hostclock tsc"
#define ON "kvm_update_master_clock: masterclock 1 hostclock tsc offsetmatched 1"

TEST(Explain, TwoMatchedVcpusAreFine) {
  const Explanation good = told(trace({CREATED, FIRST, SECOND, ON}));
  EXPECT_TRUE(good.from_creation);
  EXPECT_TRUE(good.findings.empty()) << good.findings.front().id;
  EXPECT_EQ(why_master_clock_off(good), nullptr);
}

TEST(Explain, TheVcpuThatWroteAnOffsetOfItsOwn) {
  const Explanation bad =
      told(trace({CREATED, FIRST, SECOND, ON, "kvm_write_tsc_offset: vcpu=1 prev=5000 next=7000",
                  "kvm_track_tsc: vcpu_id 1 masterclock 1 offsetmatched 0 nr_online 2 hostclock tsc",
                  "kvm_update_master_clock: masterclock 0 hostclock tsc offsetmatched 0"}));
  const MasterClockPhase* off = why_master_clock_off(bad);
  ASSERT_NE(off, nullptr);
  EXPECT_EQ(off->cause, OffCause::not_matched);
  EXPECT_EQ(off->outside, std::vector<int>{0});
  EXPECT_EQ(off->decided_by, 6u) << "the write, not the update";
  EXPECT_NE(off->why.find("1 of 2 vCPUs is in generation 2, which vCPU 1 started at 1.100007 s"), std::string::npos)
      << off->why;
  EXPECT_NE(find(bad, "no-common-generation"), nullptr);
  const Finding* apart = find(bad, "offsets-differ");
  ASSERT_NE(apart, nullptr);
  EXPECT_EQ(apart->cycles, 2000);
}

TEST(Explain, TheRuleIsTheOneThatFailed) {
  const struct {
    const char* last;
    OffCause cause;
    const char* id;
  } rows[] = {
      {"kvm_update_master_clock: masterclock 0 hostclock none offsetmatched 1", OffCause::host_clock,
       "host-clocksource"},
      {"kvm_update_master_clock: masterclock 0 hostclock 0x2 offsetmatched 1", OffCause::host_clock,
       "host-clocksource"},
      {"kvm_update_master_clock: masterclock 0 hostclock tsc offsetmatched 1", OffCause::old_kvmclock, "old-kvmclock"}};
  for (const auto& row : rows) {
    const Explanation explained = told(trace({CREATED, FIRST, SECOND, ON, row.last}));
    ASSERT_NE(why_master_clock_off(explained), nullptr) << row.last;
    EXPECT_EQ(why_master_clock_off(explained)->cause, row.cause) << row.last;
    EXPECT_NE(find(explained, row.id), nullptr) << row.last;
  }
}

// Without the beginning, an earlier suspend is possible too; a gap takes the certainty as well.
TEST(Explain, WhatTheLogDoesNotDecideIsNotDecided) {
  const std::string vetoed = "kvm_update_master_clock: masterclock 0 hostclock tsc offsetmatched 1";
  EXPECT_EQ(why_master_clock_off(told(trace({ON, vetoed.c_str()})))->cause, OffCause::veto);
  const std::string gap =
      trace({CREATED, FIRST, SECOND, ON}) + "CPU:0 [LOST 3 EVENTS]\n  vmm-1 [000] ..... 2.000000: " + vetoed + "\n";
  EXPECT_EQ(why_master_clock_off(told(gap))->cause, OffCause::veto);
  EXPECT_EQ(told(gap).gaps, 1u);
}

TEST(Explain, ACounterThatWentBackIsSeenInTheOffsets) {
  const Explanation bad = told(trace({CREATED, FIRST, SECOND, ON, "kvm_write_tsc_offset: vcpu=1 prev=5000 next=9000",
                                      "kvm_update_master_clock: masterclock 0 hostclock tsc offsetmatched 1",
                                      "kvm_write_tsc_offset: vcpu=0 prev=5000 next=9000"}));
  EXPECT_EQ(why_master_clock_off(bad)->cause, OffCause::backwards_tsc);
  EXPECT_EQ(find(bad, "host-tsc-backwards")->cycles, 4000);
  EXPECT_EQ(find(bad, "tsc-moved"), nullptr) << "the guest's TSC went on";
  const Explanation unequal =
      told(trace({CREATED, FIRST, SECOND, ON, "kvm_write_tsc_offset: vcpu=1 prev=5000 next=9000",
                  "kvm_update_master_clock: masterclock 0 hostclock tsc offsetmatched 1",
                  "kvm_write_tsc_offset: vcpu=0 prev=5000 next=9001"}));
  EXPECT_NE(why_master_clock_off(unequal)->cause, OffCause::backwards_tsc) << "two guests' writes that differ";
}

// The order alone does no harm: what counts is in which generations the vCPUs are when the guest goes on.
TEST(Explain, InterleavedCreation) {
  const char* const write = "kvm_write_tsc_offset: vcpu=0 prev=5000 next=6000";
  const char* const begun = "kvm_track_tsc: vcpu_id 0 masterclock 0 offsetmatched 0 nr_online 1 hostclock tsc";
  const char* const create = "kvm_write_tsc_offset: vcpu=1 prev=0 next=6000";
  const char* const joined = "kvm_track_tsc: vcpu_id 1 masterclock 0 offsetmatched 1 nr_online 2 hostclock tsc";
  const char* const apart = "kvm_write_tsc_offset: vcpu=1 prev=6000 next=9000";
  const char* const own = "kvm_track_tsc: vcpu_id 1 masterclock 0 offsetmatched 0 nr_online 2 hostclock tsc";
  const char* const back = "kvm_write_tsc_offset: vcpu=1 prev=9000 next=6000";
  const char* const both = "kvm_write_tsc_offset: vcpu=0 prev=6000 next=6000";
  const auto found = [](const std::string& log) { return find(told(log), "interleaved-create") != nullptr; };
  EXPECT_TRUE(found(trace({CREATED, FIRST, write, begun, create, joined, apart, own})));
  EXPECT_FALSE(found(trace({CREATED, FIRST, write, begun, create, joined}))) << "it joined";
  EXPECT_FALSE(found(trace({CREATED, FIRST, write, begun, create, joined, apart, own, both, begun, back, joined})))
      << "one offset for all";
  EXPECT_FALSE(found(trace({CREATED, FIRST, SECOND, ON})));
}

// docs/spec/vmm-procedures.md 15.9, published with a selftest on the list.
TEST(PageStep, ThePublishedExampleStepsFourNanoseconds) {
  const ClockPage before{32041800585, 3639151, 3186238974, -1};
  ClockPage after{213016088950, 67131895453, 3186238974, -1};
  EXPECT_EQ(clock_at(before, after.tsc_timestamp), 67131895449u);
  EXPECT_EQ(page_step_ns(before, after), 4);
  after.system_time -= 10;
  EXPECT_EQ(page_step_ns(before, after), -6);
  EXPECT_EQ(khz_of_page(before.mul, before.shift), 2695948u);
}

TEST(PageStep, AMovedTscIsTakenOut) {
  const ClockPage before{1000, 0, 1u << 31, 1};  // 1 GHz
  EXPECT_EQ(page_step_ns(before, {6000, 1000, 1u << 31, 1}, 4000), 0);
  EXPECT_EQ(page_step_ns(before, {6000, 1000, 1u << 31, 1}), -4000);
  EXPECT_EQ(page_step_ns(before, {500, 0, 1u << 31, 1}), 500) << "an older time stamp";
  EXPECT_FALSE(page_step_ns({0, 0, 1, 127}, {1, 0, 1, 0})) << "no shift of a real page";
  EXPECT_FALSE(page_step_ns({0, 0, 0, 0}, {1, 0, 1, 0}));
}

TEST(ExplainText, Amounts) {
  EXPECT_EQ(ns_text(-4), "-4 ns");
  EXPECT_EQ(ns_text(1'500), "1.500 us");
  EXPECT_EQ(ns_text(-375'854'321), "-375.854 ms");
  EXPECT_EQ(ns_text(INT64_MIN), "-9_223_372_036.855 s");
  EXPECT_EQ(cycles_text(2'600'000, 2'600'000), "+2_600_000 cycles (+1.000 ms)");
  EXPECT_EQ(cycles_text(-7, 0), "-7 cycles");
  EXPECT_EQ(signed_text(~std::uint64_t{0}), "-1");
}

}  // namespace
}  // namespace tscsim::logs
