// Many programs on this machine's KVM, side by side: nearly all of their time is waiting for the next operation to be due,
// and VMs do not see each other. What came too late because another was served first runs again, alone.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "kvm_backend/native_executor.h"
#include "ops/error.h"
#include "ops/program.h"

namespace tscsim::kvm_backend {

struct NativeResult {
  std::optional<ops::Recording> recording;
  std::vector<ops::Diagnostic> wrong_input;  // when there is no recording
};

struct NativeBatch {
  NativeOptions options;
  std::uint64_t seed = 1;
  std::size_t side_by_side = 16;
  // How many are done, in any order; called from one thread at a time. May be empty.
  std::function<void(std::size_t)> progress;
};

// Results in the order of the programs; those that NativeOptions::interrupted left undone have neither a recording nor
// wrong input. Throws ops::TargetError when the KVM cannot be used.
std::vector<NativeResult> run_side_by_side(const std::vector<const ops::Program*>& programs, const NativeBatch& batch);

// Whether another program's company shows: an operation began more than 500 us after it was due, or took more than
// 500 us between its two readings of the clock, where neither the guest ran nor the host slept in it. Such a recording is
// as true as any other, but its brackets say less.
bool was_disturbed(const ops::Recording& recording);

}  // namespace tscsim::kvm_backend
