// Lines as recorders really write them: tracefs with and without record-tgid, trace-cmd 3.1.6, perf 6.1.
#include "logs/trace_line.h"

#include <gtest/gtest.h>

#include "logs/event_text.h"
#include "ops/ftrace_text.h"

namespace tscsim::logs {
namespace {

using ops::TraceKind;

TEST(TraceLine, EveryRecordersForm) {
  const struct {
    const char* line;
    const char* comm;
    int pid, tgid, cpu;
    std::uint64_t stamp;
    bool cycles;
  } rows[] = {
      {"            init-1       [001] d...  15440957740: kvm_write_tsc_offset: vcpu=0 prev=0 next=1", "init", 1, -1, 1,
       15440957740, true},
      {"            init-1       [000] d..1.     2.998527: kvm_write_tsc_offset: vcpu=0 prev=0 next=1", "init", 1, -1,
       0, 2998527000, false},
      {"       CPU 0/KVM-2711    (   2701) [003] dN.1. 12: kvm_write_tsc_offset: x", "CPU 0/KVM", 2711, 2701, 3, 12,
       true},
      {"           <...>-2711    (-------) [003] ..... 0.5: kvm_write_tsc_offset: x", "<...>", 2711, -1, 3, 500000000,
       false},
      {"imp2:  qemu-system-x86-13278 [001]   749.708863263: kvm_write_tsc_offset: x", "qemu-system-x86", 13278, -1, 1,
       749708863263, false},
      {"imp2:  qemu-system-x86-13232 [001]1931936271967: kvm_write_tsc_offset:  x", "qemu-system-x86", 13232, -1, 1,
       1931936271967, true},
      {" qemu-system-x86 12631 [001]   680.472690:    kvm:kvm_write_tsc_offset: x", "qemu-system-x86", 12631, -1, 1,
       680472690000, false},
      {" CPU 1/KVM 12628/12631 [001]   680.472690163:    kvm:kvm_write_tsc_offset: x", "CPU 1/KVM", 12631, 12628, 1,
       680472690163, false},
      {"            init-1     [000] 12.5: kvm_write_tsc_offset: x", "init", 1, -1, 0, 12500000000, false},
  };
  for (const auto& row : rows) {
    const auto line = split_trace_line(row.line);
    ASSERT_TRUE(line) << row.line;
    EXPECT_EQ(line->comm, row.comm) << row.line;
    EXPECT_EQ(line->pid, row.pid) << row.line;
    EXPECT_EQ(line->tgid, row.tgid) << row.line;
    EXPECT_EQ(line->cpu, row.cpu) << row.line;
    EXPECT_EQ(line->stamp.value, row.stamp) << row.line;
    EXPECT_EQ(line->stamp.cycles, row.cycles) << row.line;
    EXPECT_EQ(line->event, "kvm_write_tsc_offset") << row.line;
  }
}

TEST(TraceLine, OtherLinesAreNone) {
  for (const char* line :
       {"--- end trace", "cpus=2", "[000]", "a-1 [000]", "a-1 [000] d..1. 12", "a-1 [000] d..1. 1.2.3: e: x",
        "a-b [000] d..1. 12: e: x", "a-1 [000] d..1. 99999999999999999999: e: x", "qemu-sys-13278   1d..1. 7.7: e: x"})
    EXPECT_FALSE(split_trace_line(line)) << line;
}

TEST(TraceLine, Losses) {
  const struct {
    const char* line;
    int cpu;
    std::uint64_t events;
  } rows[] = {{"CPU:1 [LOST 3182 EVENTS]", 1, 3182},
              {"CPU:0 [LOST EVENTS]", 0, 0},
              {"imp2: CPU:1 [296 EVENTS DROPPED]", 1, 296},
              {"CPU:3 [EVENTS DROPPED]", 3, 0},
              {" swapper     0 [002]   680.5: PERF_RECORD_LOST lost 12", 2, 12}};
  for (const auto& row : rows) {
    const auto loss = read_loss(row.line);
    ASSERT_TRUE(loss) << row.line;
    EXPECT_EQ(loss->cpu, row.cpu) << row.line;
    EXPECT_EQ(loss->events, row.events) << row.line;
  }
  EXPECT_FALSE(read_loss("            init-1       [001] d...  15440957740: kvm_exit: reason CPU: LOST"));
}

TEST(EventText, WhatIsPrintedIsReadBack) {
  const std::uint64_t most = ~std::uint64_t{0};
  const ops::TraceEvent events[] = {{TraceKind::write_tsc_offset, 70, 0, {most, 5}},
                                    {TraceKind::track_tsc, 1, 0, {1, 2, 0, 1}},
                                    {TraceKind::track_tsc, 1, 0, {1, 2, 1, 0}},
                                    {TraceKind::update_master_clock, -1, 0, {1, 3, 1}},
                                    {TraceKind::pvclock_update, 3, 0, {6, most, most, 0xffffffff, most, 3}},
                                    {TraceKind::pvclock_update, 3, 0, {6, 1, 2, 3, 4, 0}}};
  for (const ops::TraceEvent& event : events) {
    ops::TraceEvent read;
    EXPECT_FALSE(read_event_text(event.kind, ops::ftrace_text(event), read)) << ops::ftrace_text(event);
    EXPECT_EQ(read, event) << ops::ftrace_text(event);
  }
}

TEST(EventText, PerfAndTraceCmdPrintNumbersForNames) {
  ops::TraceEvent read;
  EXPECT_FALSE(read_event_text(TraceKind::track_tsc,
                               "        vcpu_id 0 masterclock 1 offsetmatched 0 nr_online 2 hostclock 0x1", read));
  EXPECT_EQ(read.values[3], 1u);
  EXPECT_FALSE(read_event_text(
      TraceKind::pvclock_update,
      "vcpu_id 0, pvclock { version 2, tsc_timestamp 0x19c7775ddb1, system_time 0x3d414777, tsc_to_system_mul "
      "0xc5377ec6, tsc_shift 255, flags 0x1 }",
      read));
  EXPECT_EQ(static_cast<std::int64_t>(read.values[4]), -1) << "the byte is signed";
  EXPECT_FALSE(read_event_text(
      TraceKind::pvclock_update,
      "   vcpu_id=0 version=2 tsc_timestamp=0x1c65c97994d system_time=0x3fe7e82c tsc_to_system_mul=0xc5377ec6 "
      "tsc_shift=255 flags=0x1",
      read));
  EXPECT_EQ(read.values[1], 0x1c65c97994du);
  EXPECT_FALSE(read_event_text(TraceKind::update_master_clock,
                               " [FAILED TO PARSE] use_master_clock=1 host_clock=1 offset_matched=0", read));
  EXPECT_EQ(read.values[0], 1u);
}

TEST(EventText, AFaultNamesItsPlaceAndWhatBelongsThere) {
  const struct {
    TraceKind kind;
    const char* text;
    std::size_t at;
    const char* expected;
  } rows[] = {
      {TraceKind::write_tsc_offset, "vcpu=0 prev=0 nxt=1", 13, "expected ' next='"},
      {TraceKind::write_tsc_offset, "vcpu=0 prev=x next=1", 12, "expected a number, previous_tsc_offset"},
      {TraceKind::write_tsc_offset, "vcpu=0 prev=0 next=18446744073709551616", 19,
       "expected a number, next_tsc_offset"},
      {TraceKind::write_tsc_offset, "vcpu=0 prev=0 next=1 more", 20, "expected the end of the line"},
      {TraceKind::update_master_clock, "masterclock 2 hostclock tsc offsetmatched 1", 12,
       "expected a number, use_master_clock"},
      {TraceKind::update_master_clock, "masterclock 1 hostclock hpet offsetmatched 1", 24,
       "expected a number, host_clock"},
      {TraceKind::track_tsc, "", 0, "expected 'vcpu_id '"},
  };
  for (const auto& row : rows) {
    ops::TraceEvent read;
    const auto fault = read_event_text(row.kind, row.text, read);
    ASSERT_TRUE(fault) << row.text;
    EXPECT_EQ(fault->at, row.at) << row.text;
    EXPECT_EQ(fault->expected, row.expected) << row.text;
  }
}

}  // namespace
}  // namespace tscsim::logs
