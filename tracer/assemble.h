// From calls as they were seen to recordings: one for each VM, in the vocabulary that the model and the cross-check share.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ops/recording.h"
#include "tracer/raw_call.h"
#include "tracer/requests.h"

namespace tscsim::tracer {

// What a recorder has seen of a command and its children.
struct Seen {
  std::vector<RawCall> calls;  // in any order
  // How many KVM_RUNs there were in all, by VM and KVM's vCPU id; empty where the way of recording does not count them.
  std::map<std::pair<std::uint32_t, std::int32_t>, std::uint64_t> runs;
  std::array<std::uint64_t, kRequestKeys> others{};  // calls that are not recorded, by request_key()
  std::map<std::uint32_t, std::string> commands;     // of the process that made the VM
  std::uint64_t lost = 0;                            // calls for which there was no room
};

// Of the recording as a whole.
struct Circumstances {
  ops::TargetProfile profile;
  ops::Range suspended_ns;  // time that the host has slept, which CLOCK_MONOTONIC_RAW leaves out
  std::string cut;          // why what was recorded is not the whole; empty: it is
};

// Operations are in the order in which their calls began: KVM_RUN serves what was asked of a vCPU when it is entered, however
// long it stays inside. Where brackets overlap otherwise, the entry's note says so.
std::vector<ops::Recording> assemble(const Seen& seen, const Circumstances& circumstances);

// "KVM_SET_REGS 12, KVM_CHECK_EXTENSION 80, ioctl 0xaeff (not known) 1": the calls that were only counted.
std::string others_text(const Seen& seen);

}  // namespace tscsim::tracer
