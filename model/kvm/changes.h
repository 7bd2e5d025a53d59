// What changed in KVM's timekeeping, kernel by kernel: for `tscsim list kernels` and `tscsim explain 6.8`. Era
// (era.h) is the same history as behaviours that the machine asks for.
#pragma once

#include <span>
#include <string_view>

#include "model/kvm/era.h"

namespace tscsim::model {

enum class Subject : std::uint8_t {
  tsc_writes,
  tsc_rates,
  master_clock,
  pages,
  page_renewal,
  clock_ioctls,
  host_clock,
  suspend,
  wall_clock,
  hyperv,
  steal_time,
  nested,
  count
};
std::string_view name_of(Subject subject);

struct Change {
  std::string_view version;  // the first with it
  std::string_view until;    // the first without it; empty: it still holds
  Subject subject{};
  std::string_view sentence;  // how it has been since
  std::string_view commits;   // those that are known; empty: not known
  std::string_view section;   // as RuleInfo::spec
};

// In the order of versions.
std::span<const Change> changes();

bool holds(const Change& change, KernelVersion version);

// Of the last change that is known. Kernels after it are taken for it.
KernelVersion newest_known_kernel();

// "7.4 (queued)" for what is not out yet.
std::string_view title_of(const Change& change);

}  // namespace tscsim::model
