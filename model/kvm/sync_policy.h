// The synchronisation heuristic as a value. KVM cannot know whether a VMM that writes a TSC wants all vCPUs equal or
// wants exactly that value; a policy sees one write and the state, and answers whether the write is an attempt to
// synchronise. The machine then still demands equal rates (spec section 3.3).
//
// A new policy is one file: a struct with `template <class Num> bool operator()(const TscWrite<Num>&) const`, and one
// line in sync_policy.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "model/kvm/arithmetic.h"
#include "witness/witness.h"

namespace tscsim::model {

// What the heuristic can see. All TSC values are guest cycles, all times CLOCK_MONOTONIC_RAW + boot offset in ns.
template <class Num>
struct TscWrite {
  Num data{};                // the value written; 0 at vCPU creation
  bool is_zero_request = false;  // creation, or a host write of exactly 0
  bool by_guest = false;
  Num elapsed_ns{};          // since the last recorded write, modulo 2^64
  Num last_tsc_write{};
  std::uint32_t virtual_tsc_khz = 0;
  TimeScale virtual_scale;   // ns to guest cycles
  bool user_set_tsc = false; // user space has set a TSC since VM creation (6.8)
};

class SyncPolicy {
 public:
  virtual ~SyncPolicy() = default;
  virtual bool wants_to_synchronise(const TscWrite<std::uint64_t>& write) const = 0;
  virtual bool wants_to_synchronise(const TscWrite<witness::Witness>& write) const = 0;
};

struct PolicyInfo {
  std::string_view name;
  std::string_view description;
  std::string_view source;
};
std::span<const PolicyInfo> sync_policies();

// Null when there is no policy of that name.
const SyncPolicy* find_sync_policy(std::string_view name);

}  // namespace tscsim::model
