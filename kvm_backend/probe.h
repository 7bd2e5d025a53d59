// What this KVM supports and, what is not the same, what it honours: a KVM may accept a TSC offset and ignore
// it. Capabilities are asked for, behaviour is found by experiment in VMs that are thrown away. No list of
// CPU models.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kvm_backend/native_executor.h"
#include "ops/recording.h"

namespace tscsim::kvm_backend {

// The profile that recordings carry. Throws ops::TargetError, with what to do about it, when there is no
// usable KVM.
ops::TargetProfile probe_target(const NativeOptions& options = {});

// One line for the reader of `tscsim doctor`.
struct Finding {
  std::string name;   // "guest RDTSC"; stable, for machines too
  std::string value;  // "17_862 cycles, trapped"
  std::string note;   // what it means; may be empty
};

struct DoctorReport {
  ops::TargetProfile profile;
  std::vector<Finding> findings;  // host first, then capabilities, then behaviour

  // nullptr when there is none of that name.
  const Finding* find(const std::string& name) const;
};

// Throws like probe_target().
DoctorReport doctor(const NativeOptions& options = {});

}  // namespace tscsim::kvm_backend
