#include "ops/ftrace_text.h"

#include <gtest/gtest.h>

namespace tscsim::ops {
namespace {

// The texts are lines of real traces: 6.1 and 6.12 under QEMU and Bochs, a clocksource switched away included.
TEST(FtraceText, IsWhatTheKernelPrints) {
  struct Row {
    TraceEvent event;
    std::string_view text;
  };
  const std::uint64_t minus_one = ~std::uint64_t{0};
  const Row rows[] = {
      {{TraceKind::write_tsc_offset, 1, 0, {0, 18446744071117426457u}}, "vcpu=1 prev=0 next=18446744071117426457"},
      {{TraceKind::track_tsc, 1, 0, {1, 2, 0, 1}}, "vcpu_id 1 masterclock 0 offsetmatched 1 nr_online 2 hostclock tsc"},
      {{TraceKind::update_master_clock, kVm, 0, {0, 0, 1}}, "masterclock 0 hostclock none offsetmatched 1"},
      {{TraceKind::update_master_clock, kVm, 0, {1, 3, 1}}, "masterclock 1 hostclock 0x3 offsetmatched 1"},
      {{TraceKind::pvclock_update, 0, 0, {2, 0x27fd0ab1, 0x308a8f34, 0xc537202f, minus_one, 1}},
       "vcpu_id 0, pvclock { version 2, tsc_timestamp 0x27fd0ab1, system_time 0x308a8f34, tsc_to_system_mul 0xc537202f, "
       "tsc_shift -1, flags 0x1 }"},
      {{TraceKind::pvclock_update, 0, 0, {6, 0x220a433e, 0x18913f08, 0xc537a69a, minus_one, 0}},
       "vcpu_id 0, pvclock { version 6, tsc_timestamp 0x220a433e, system_time 0x18913f08, tsc_to_system_mul 0xc537a69a, "
       "tsc_shift -1, flags 0x0 }"},
  };
  for (const Row& row : rows) EXPECT_EQ(ftrace_text(row.event), row.text);
}

TEST(FtraceText, PrintsOneHostInOrder) {
  Recording recording;
  recording.header.other_hosts.resize(1);
  for (int host : {0, 1}) {
    Entry entry;
    entry.op.host = host;
    entry.pcpu = host + 1;
    entry.traced = {{TraceKind::write_tsc_offset, 0, 2592125501, {0, 5}}};
    recording.entries.push_back(entry);
  }
  const std::string text = ftrace_of(recording, 1);
  EXPECT_EQ(text.substr(text.rfind('#')).substr(text.substr(text.rfind('#')).find('\n') + 1),
            "             vmm-1       [002] .....   2592125501: kvm_write_tsc_offset: vcpu=0 prev=0 next=5\n");
}

}  // namespace
}  // namespace tscsim::ops
