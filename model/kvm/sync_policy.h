// The synchronisation heuristic as a value. KVM cannot know whether a VMM that writes a TSC wants all vCPUs equal or
// wants exactly that value; a policy sees one write and the state, and answers whether the write is an attempt to
// synchronise. The machine then still demands equal rates (docs/spec/kvm-timekeeping.md 3.3).
//
// Every kernel's own heuristic is an instance of a parameterised one (policies/window.h), and so is what a user writes
// (ops/heuristic.h). A policy that parameters cannot say is one file in policies/ and one line in policies/list.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "model/kvm/arithmetic.h"
#include "model/kvm/era.h"
#include "ops/heuristic.h"
#include "witness/witness.h"

namespace tscsim::model {

// An earlier write to compare with. `elapsed_ns` is the time since, modulo 2^64; `tsc_now` what a vCPU with the offset
// that the write left reads now.
template <class Num>
struct EarlierWrite {
  Num elapsed_ns{};
  Num tsc_write{};
  Num tsc_now{};
};

// What the heuristic can see. All TSC values are guest cycles, all times CLOCK_MONOTONIC_RAW + boot offset in ns.
template <class Num>
struct TscWrite {
  Num data{};             // the value written; 0 at vCPU creation
  bool creation = false;  // the write that KVM_CREATE_VCPU implies
  bool by_guest = false;
  EarlierWrite<Num> last;        // the last recorded write, joined or not
  EarlierWrite<Num> generation;  // the write that started the generation
  std::uint32_t virtual_tsc_khz = 0;
  TimeScale virtual_scale;    // ns to guest cycles
  bool user_set_tsc = false;  // user space has set a TSC since VM creation (6.8)
};

class SyncPolicy {
 public:
  virtual ~SyncPolicy() = default;
  virtual bool wants_to_synchronise(const TscWrite<std::uint64_t>& write) const = 0;
  virtual bool wants_to_synchronise(const TscWrite<witness::Witness>& write) const = 0;
  // A policy may also change how the kernel treats writes around the decision.
  virtual void adapt(Era&) const {}
};

// A policy from a rule: a struct with `template <class Num> bool operator()(const TscWrite<Num>&) const`.
template <class Rule>
class RulePolicy : public SyncPolicy {
 public:
  explicit RulePolicy(Rule rule = {}) : rule_(rule) {}
  bool wants_to_synchronise(const TscWrite<std::uint64_t>& write) const override { return rule_(write); }
  bool wants_to_synchronise(const TscWrite<witness::Witness>& write) const override { return rule_(write); }

 protected:
  Rule rule_;
};

struct PolicyInfo {
  std::string_view name;
  std::string_view description;
  std::string_view source;
  std::string_view parameters;  // how it is written as an instance of the parameterised one; empty: it is C++
};
std::span<const PolicyInfo> sync_policies();

// The policy that `text` asks for, a name or parameters. What the text leaves open, and an empty text, is the heuristic
// of that name. Throws ops::InputError.
std::shared_ptr<const SyncPolicy> sync_policy(std::string_view text, std::string_view kernels_own);

// The one of that name. Throws ops::InputError.
inline std::shared_ptr<const SyncPolicy> sync_policy(std::string_view name) { return sync_policy({}, name); }

}  // namespace tscsim::model
