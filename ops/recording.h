// A recording is the only currency: whatever ran (the model, /dev/kvm, a lab kernel), the result is a header that
// says who and under which circumstances, and a list of (operation, bracket, outcome). Expectations, cross-check
// and reports read recordings and nothing else.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/guest.h"
#include "ops/operation.h"
#include "ops/trace_event.h"

namespace tscsim::ops {

inline constexpr int kRecordingVersion = 1;

// A closed interval that holds an instant or a reading.
struct Range {
  std::uint64_t lo = 0;
  std::uint64_t hi = 0;
  friend bool operator==(const Range&, const Range&) = default;
};

// Readings taken just before and just after the operation, on the pCPU that executes it. Any reading that KVM makes
// inside the operation lies between the two. The model's brackets are points.
struct Bracket {
  Range tsc;           // host TSC
  Range base_ns;       // CLOCK_MONOTONIC_RAW + (CLOCK_BOOTTIME - CLOCK_MONOTONIC): what kvmclock counts in (5.6+)
  Range realtime_ns;   // CLOCK_REALTIME
  Range run_delay_ns;  // how long the thread has waited for a CPU in all; measured where a steal time record is on
  friend bool operator==(const Bracket&, const Bracket&) = default;
};

// An entry of kind `observed` is what somebody else's recorder saw of a KVM that served somebody else. What was asked is
// not known, so that there is no operation to take a 0 for: `op` has the vCPU where it is known, and in at_ns the time by
// the recorder's clock. One of three things:
//   - trace events alone: `traced` has them;
//   - a system call whose operands lie in memory that was not shown: `call` names it, `outcome` has the error and, as the
//     field `value`, what the call returned;
//   - neither: a gap. The recorder lost what happened here, and nothing may be concluded across it.
struct Entry {
  Operation op;
  int pcpu = 0;           // where it ran
  int thread = 0;         // of a VMM: its threads are numbered from 1, as they appear; 0: not told
  bool supported = true;  // false: this target cannot execute the operation; `note` says why; no outcome
  Bracket bracket;        // all zero when nothing was executed at all
  Outcome outcome;
  std::string note;                // e.g. the exit reason behind an error; the model's decision
  std::vector<GuestEvent> guest;   // what a Linux guest's kernel found or did since the entry before; model only
  std::vector<TraceEvent> traced;  // what KVM's tracepoints printed meanwhile, in order; see TargetProfile::traces
  std::string
      call;  // of an `observed` entry: "KVM_SET_MSRS", with the argument where it is shown: "KVM_CREATE_VCPU(1)"
  friend bool operator==(const Entry&, const Entry&) = default;
};

// What the executing KVM is and honours. Filled by probing, not by a list of CPU models.
struct TargetProfile {
  std::string target;              // "model", "native", "lab:amd-6.12"
  std::string kernel;              // release string of the host kernel: "6.12", "6.18.44-fc"
  std::string vendor;              // "vmx", "svm", or "none" when KVM runs guests without either (PVM)
  std::uint32_t host_khz = 0;      // KVM's tsc_khz
  bool tsc_scaling = false;        // KVM_CAP_TSC_CONTROL
  bool tsc_clocksource = true;     // the host's current clocksource is the TSC, at the start
  bool tsc_unstable = false;       // the kernel takes its TSC for unstable, from the start
  bool offset_attribute = true;    // KVM_VCPU_TSC_OFFSET exists
  bool honours_tsc_offset = true;  // false: accepts offsets and TSC writes, and the guest's TSC does not move
  bool clock_has_realtime = true;  // KVM_CAP_ADJUST_CLOCK offers KVM_CLOCK_REALTIME
  bool guest_rdtscp = true;        // the guest can execute RDTSCP
  // A guest's WRMSR of IA32_TSC or IA32_TSC_ADJUST is followed by a full entry, which serves what it requested.
  bool reenters_after_tsc_wrmsr = true;
  // A host write that enables vCPU 0's kvmclock page clears TSC_STABLE in what lies there, until the next update.
  bool enabling_clears_stable = false;
  // What may be done to this host; never to one that is not ours. Written only where true.
  bool clocksource_changes = false;  // set_clocksource
  bool tsc_jumps = false;            // jump_host_tsc
  bool suspends = false;             // suspend_host, with a TSC that restarts
  bool pcpu_hotplug = false;         // offline_pcpu, online_pcpu
  // What this KVM emulates besides. Written only where true.
  bool hyperv = false;      // Hyper-V's MSRs (CONFIG_KVM_HYPERV since 6.8)
  bool steal_time = false;  // MSR_KVM_STEAL_TIME
  int pcpus = 1;
  std::uint32_t tick_ns = 0;  // how long a jiffy of the host is; 0: not known. Written only where it is
  std::string heuristic;      // synchronisation policy, when it is not the kernel's own
  // The tracepoints that were listened to. What one of these did not print, KVM did not do.
  std::vector<TraceKind> traces;
  friend bool operator==(const TargetProfile&, const TargetProfile&) = default;
};

// One host of a recording.
struct HostHeader {
  std::string name = "a";  // as the scenario calls it
  TargetProfile profile;
  std::uint64_t zero_tsc = 0;  // its TSC and base_ns at scenario time 0
  std::uint64_t zero_base_ns = 0;
  friend bool operator==(const HostHeader&, const HostHeader&) = default;
};

// What is said of the host is said of the first one; most recordings have no other.
struct Header : HostHeader {
  int version = kRecordingVersion;
  std::string tool_version;
  std::string scenario;       // its name
  std::string scenario_hash;  // of the file's bytes; recordings of different scenarios are never compared
  std::uint64_t seed = 0;
  std::vector<HostHeader> other_hosts;
  // Of a recording of somebody else's VMM: its command line, and where its guest's memory ends. Its guest runs code of
  // its own, so that KVM_RUN may do more than is told. Written only where there is one.
  std::string vmm;
  std::uint64_t memory_bytes = 0;
  // Its recorder saw what was written by KVM_SET_ONE_REG, too, which reaches MSRs since 6.18. Written only where true.
  bool sees_one_reg = false;

  int hosts() const { return 1 + static_cast<int>(other_hosts.size()); }
  HostHeader& host(int index) { return index == 0 ? *this : other_hosts[static_cast<std::size_t>(index) - 1]; }
  const HostHeader& host(int index) const { return const_cast<Header*>(this)->host(index); }
  friend bool operator==(const Header&, const Header&) = default;
};

struct Recording {
  Header header;
  std::vector<Entry> entries;
  std::string cut;  // why it ended before its time; empty: it did not
  friend bool operator==(const Recording&, const Recording&) = default;
};

// Whether the recording was made from outside. Such a one cannot be replayed, so nothing may be verified against it.
bool is_observed(const Recording& recording);

// JSON Lines: the header, one line for each entry, and an end line with the number of entries, so that a file that
// was cut is recognised. 64-bit quantities are decimal strings (JSON numbers lose bits in most readers).
void write_json_lines(const Recording& recording, std::ostream& out);

// Throws InputError naming `name` and the line: not JSON, missing member, wrong version, cut.
Recording read_json_lines(std::istream& in, const std::string& name);

// The same for a file with one or more recordings, one after the other.
std::vector<Recording> read_all_json_lines(std::istream& in, const std::string& name);

// 64-bit fingerprint of all that the recording says, as 16 hex digits. Equal recordings, equal fingerprints.
std::string fingerprint(const Recording& recording);

// 64-bit FNV-1a of the bytes as 16 hex digits; the scenario hash.
std::string content_hash(std::string_view bytes);

}  // namespace tscsim::ops
