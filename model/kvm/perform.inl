// Operations of the KVM API, dispatched to the pieces.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c kvm_arch_vcpu_ioctl(), kvm_set_msr_common(), kvm_set_tsc_khz();
// docs/spec/kvm-timekeeping.md 1.5, 2, 3.1.
#pragma once

#include <cerrno>

#include "base/check.h"
#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

// As new. A list keeps what it has allocated.
template <class Value>
void empty(Value& value) {
  if constexpr (requires { value.clear(); }) value.clear();
  else value = Value{};
}

template <class Num, class HostType>
Machine<Num, HostType>::Machine(const MachineConfig& config) : config_(config) {
  vm_.default_tsc_khz = config.host_khz;
  vm_.hyperv.memory_bytes = config.memory_bytes;
}

template <class Num, class HostType>
void Machine<Num, HostType>::restart(std::uint32_t host_khz) {
  config_.host_khz = host_khz;
  const bool of_the_host = had_master_clock_;
  State::each_member(state(), [](const char*, auto& member) { empty(member); });
  had_master_clock_ = of_the_host;
  vm_.default_tsc_khz = host_khz;
  vm_.hyperv.memory_bytes = config_.memory_bytes;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::refuse(int error) {
  follow(Rule::refused);
  Outcome out;
  out.error = error;
  return out;
}

// Looked up before the kinds are told apart.
constexpr bool looks_at_a_vcpu(ops::OpKind kind) {
  return kind == ops::OpKind::peek_pvclock || kind == ops::OpKind::peek_wall_clock ||
         kind == ops::OpKind::peek_steal_time || kind == ops::OpKind::read_pvclock;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::perform(const ops::Operation& op, int cpu,
                                                                         HostType& host) {
  story_length_ = 0;
  // Whoever brings operations has seen to it: the parser of scenarios, or ops/recording_rules.h.
  CHECK(op.vcpu == ops::kVm || op.kind == ops::OpKind::create_vcpu ||
        static_cast<std::size_t>(op.vcpu) < vcpus_.size());
  CHECK(op.vcpu != ops::kVm || !looks_at_a_vcpu(op.kind));
  if (TSCSIM_MUTATE(outside_memory_is_read, looks_outside_memory(op), false)) return refuse(EFAULT);
  switch (op.kind) {
    case ops::OpKind::create_vm:
      create_vm(host);
      vm_.irqchip = (op.flags & ops::vm_flag::kIrqchip) != 0;
      return {};
    case ops::OpKind::create_vcpu:
      create_vcpu(cpu, host);
      vcpus_.back().hyperv_enabled = (op.flags & ops::vcpu_flag::kHyperv) != 0;
      return {};
    case ops::OpKind::get_clock:
      return get_clock(host);
    case ops::OpKind::set_clock:
      return set_clock(op, host);
    case ops::OpKind::disable_quirks:  // every kernel takes any bit
      vm_.disabled_quirks |= op.value;
      return {};
    case ops::OpKind::peek_pvclock:
      return peek_page(op.vcpu);
    case ops::OpKind::peek_wall_clock:
      return peek_wall_clock(op.vcpu);
    case ops::OpKind::peek_hyperv_page:
      return peek_hyperv_page();
    case ops::OpKind::peek_steal_time:
      return peek_steal_time(op.vcpu);
    case ops::OpKind::bump_vmclock:
    case ops::OpKind::move_vcpu:
    case ops::OpKind::delay_vcpu:
    case ops::OpKind::set_clocksource:
    case ops::OpKind::mark_tsc_unstable:
    case ops::OpKind::jump_host_tsc:
    case ops::OpKind::suspend_host:
    case ops::OpKind::offline_pcpu:
    case ops::OpKind::online_pcpu:
    case ops::OpKind::share_pcpus:
      return {};
    default:
      break;
  }
  if (op.vcpu == ops::kVm) {  // KVM_SET_TSC_KHZ and KVM_GET_TSC_KHZ exist on the VM too
    CHECK(op.kind == ops::OpKind::set_tsc_khz || op.kind == ops::OpKind::get_tsc_khz);
    if (!config_.era.vm_tsc_khz) return refuse(ENOTTY);
    if (op.kind == ops::OpKind::set_tsc_khz) return set_vm_tsc_khz(static_cast<std::uint32_t>(op.value));
    Outcome out;
    out.add(ops::Field::value, Num(vm_.default_tsc_khz));
    return out;
  }
  load(at(op.vcpu), cpu, host);
  if (!op.probe) count_steal_at_load(at(op.vcpu), host);
  const Outcome out = vcpu_operation(op, host);
  unload(at(op.vcpu), host);
  return out;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::vcpu_operation(const ops::Operation& op,
                                                                                HostType& host) {
  Outcome out;
  Vcpu<Num>& v = at(op.vcpu);
  switch (op.kind) {
    case ops::OpKind::set_msr:
      return write_msr(op, true, host);
    case ops::OpKind::get_msr:
      return read_msr(op, host);
    case ops::OpKind::set_tsc_khz:
      return set_vcpu_tsc_khz(op.vcpu, static_cast<std::uint32_t>(op.value), host);
    case ops::OpKind::get_tsc_khz:
      out.add(ops::Field::value, Num(v.virtual_tsc_khz));
      return out;
    case ops::OpKind::set_tsc_offset:
      if (!config_.era.offset_attribute) return refuse(EINVAL);
      set_tsc_offset(op.vcpu, Num(op.value), host);
      return out;
    case ops::OpKind::get_tsc_offset:
      if (!config_.era.offset_attribute) return refuse(EINVAL);
      out.add(ops::Field::value, v.l1_tsc_offset);
      return out;
    case ops::OpKind::get_tsc_state:
      return get_tsc_state(v, host);
    case ops::OpKind::set_tsc_state:
      return set_tsc_state(v, op, host);
    case ops::OpKind::get_clock_guest:
      return get_clock_guest(v);
    case ops::OpKind::set_clock_guest:
      return set_clock_guest(v, op, host);
    case ops::OpKind::get_tsc_scale:
      return get_tsc_scale(v);
    case ops::OpKind::set_lapic:
      return set_lapic(v, op.value);
    case ops::OpKind::kvmclock_ctrl:
      if (!TSCSIM_MUTATE(ctrl_without_page, v.page_active(), true)) return refuse(EINVAL);
      v.guest_stopped_request = true;
      v.requests |= TSCSIM_MUTATE(ctrl_updates_no_page, kClockUpdate, kNoRequest);
      follow(Rule::guest_stopped_set);
      return out;
    default:
      return guest_operation(op, host);
  }
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::write_msr(const ops::Operation& op, bool by_host,
                                                                           HostType& host) {
  const Num value(op.value);
  // Host writes of both TSC MSRs as if the guest made them: the quirk of the precise-TSC proposal, disabled.
  const bool exact = TSCSIM_MUTATE(quirk_without_effect, config_.era.precise_tsc == PreciseTsc::v2, false) &&
                     (vm_.disabled_quirks & ops::quirk::kTscHostAccess) != 0;
  switch (op.msr) {
    case ops::msr::kIa32Tsc:
      if (by_host && !exact) host_write_tsc(op.vcpu, value, host);
      else guest_write_tsc(op.vcpu, value, host);
      return {};
    case ops::msr::kIa32TscAdjust:
      if (by_host && !exact) host_write_tsc_adjust(op.vcpu, value);
      else guest_write_tsc_adjust(op.vcpu, value);
      return {};
    case ops::msr::kIa32TscDeadline:
      return write_tsc_deadline(at(op.vcpu), value, host);
    case ops::msr::kKvmSystemTime:
    case ops::msr::kKvmSystemTimeNew:
      write_system_time(op.vcpu, op.value, op.msr == ops::msr::kKvmSystemTime, by_host, host);
      return {};
    case ops::msr::kKvmWallClock:
    case ops::msr::kKvmWallClockNew:
      write_wall_clock(at(op.vcpu), op.value, host);
      return {};
    case ops::msr::kKvmStealTime:
      return write_steal_time(at(op.vcpu), op.value, by_host, host);
    default:
      return ops::msr::is_hyperv(op.msr) ? write_hyperv_msr(op, by_host) : refuse(EINVAL);
  }
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::read_msr(const ops::Operation& op, HostType& host) {
  Vcpu<Num>& v = at(op.vcpu);
  Outcome out;
  switch (op.msr) {
    case ops::msr::kIa32Tsc:
      out.add(ops::Field::value, tsc_of_msr(v, op.kind == ops::OpKind::get_msr, host.tsc()));
      return out;
    case ops::msr::kIa32TscAdjust:
      out.add(ops::Field::value, v.ia32_tsc_adjust);
      return out;
    case ops::msr::kIa32TscDeadline:
      return read_tsc_deadline(v, host);
    case ops::msr::kKvmSystemTime:
    case ops::msr::kKvmSystemTimeNew:
      out.add(ops::Field::value, Num(v.system_time_msr));
      return out;
    case ops::msr::kKvmWallClock:
    case ops::msr::kKvmWallClockNew:
      out.add(ops::Field::value, Num(vm_.wall_clock_msr));
      return out;
    case ops::msr::kKvmStealTime:
      out.add(ops::Field::value, Num(v.steal_msr));
      return out;
    default:
      return ops::msr::is_hyperv(op.msr) ? read_hyperv_msr(op, host) : refuse(EINVAL);
  }
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::set_vcpu_tsc_khz(int vcpu, std::uint32_t khz,
                                                                                  HostType& host) {
  if (config_.tsc_scaling && khz >= max_guest_tsc_khz(config_.vendor, config_.host_khz)) return refuse(EINVAL);
  if (!config_.tsc_scaling && config_.era.khz_always_refused_without_scaling) return refuse(EINVAL);
  const bool resynchronises = TSCSIM_MUTATE(v6_rate_moves_tsc, config_.era.khz_resynchronises, false);
  const Num before = resynchronises ? guest_tsc(at(vcpu), host.tsc()) : Num(0);
  Outcome out;
  out.error = set_tsc_khz(vcpu, khz == 0 ? config_.host_khz : khz);
  if (resynchronises && out.error == 0) synchronize(at(vcpu), before, false, host);
  if (!config_.era.refused_rate_reported) out.error = 0;
  return out;
}

// Up to 5.8 a host that read the MSR while L2 was active got L2's TSC (K15); a guest that L1 does not intercept always does.
template <class Num, class HostType>
Num Machine<Num, HostType>::tsc_of_msr(const Vcpu<Num>& vcpu, bool by_host, const Num& host_tsc) const {
  const bool l1 = by_host && TSCSIM_MUTATE(host_reads_l2_tsc, config_.era.host_reads_l1_tsc, false);
  return l1 ? guest_tsc(vcpu, host_tsc) : vcpu.tsc_offset + scale(host_tsc, vcpu.tsc_scaling_ratio);
}

template <class Num, class HostType>
int Machine<Num, HostType>::set_tsc_khz(int vcpu, std::uint32_t khz) {
  const int error = choose_ratio(vcpu, khz);
  activate(at(vcpu));
  return error;
}

template <class Num, class HostType>
int Machine<Num, HostType>::choose_ratio(int vcpu, std::uint32_t khz) {
  Vcpu<Num>& v = at(vcpu);
  const auto refused = [&] {
    if (TSCSIM_MUTATE(refused_rate_forgotten, false, true)) v.virtual_tsc_khz = config_.host_khz;
    follow(Rule::khz_refused);
    return EINVAL;
  };
  if (!(v.tsc_deadline == Num(0))) v.deadline_in_doubt = true;
  v.virtual_tsc_khz = khz;  // stays also when the call fails below
  v.virtual_scale = scales_.from_ns(std::uint64_t{khz} * 1000);
  const std::uint32_t ppm =
      (config_.era.rate_tolerance ? config_.tolerance_ppm : 0) * TSCSIM_MUTATE(tolerance_doubled, 1, 2);
  if (TSCSIM_MUTATE(tolerance_ignored, tolerance_band(config_.host_khz, ppm).contains(khz), false)) {
    v.l1_tsc_scaling_ratio = default_ratio(config_.vendor);
    follow(Rule::khz_in_tolerance);
    return 0;
  }
  if (!config_.tsc_scaling) {
    if (TSCSIM_MUTATE(slow_rate_accepted, khz <= config_.host_khz, false)) return refused();
    v.tsc_catchup = v.tsc_always_catchup = true;
    follow(Rule::khz_catchup);
    return 0;
  }
  const std::optional<TscRatio> ratio = ratio_for(config_.vendor, khz, config_.host_khz);
  if (!ratio) return refused();
  v.l1_tsc_scaling_ratio = *ratio;
  follow(Rule::khz_scaled);
  return 0;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::set_vm_tsc_khz(std::uint32_t khz) {
  if (TSCSIM_MUTATE(vm_rate_after_vcpu, config_.era.vm_tsc_khz_refused_after_vcpu, false) && !vcpus_.empty())
    return refuse(EINVAL);
  if (config_.tsc_scaling && khz >= max_guest_tsc_khz(config_.vendor, config_.host_khz)) return refuse(EINVAL);
  vm_.default_tsc_khz = khz == 0 ? config_.host_khz : khz;
  return {};
}

// Where to look for the page of a vCPU: where KVM was told to keep it, else where scenarios keep it. There it lies, too,
// when the guest has brought it along from another host.
template <class Num, class HostType>
std::uint64_t Machine<Num, HostType>::page_in_sight(const Vcpu<Num>& vcpu) const {
  if (vcpu.system_time_msr != 0) return vcpu.page_address();
  return usual_place(ops::layout::kPvclockPages, vcpu);
}

template <class Num, class HostType>
std::uint64_t Machine<Num, HostType>::wall_clock_in_sight(const Vcpu<Num>& vcpu) const {
  return vcpu.wall_clock_address != 0 ? vcpu.wall_clock_address : usual_place(ops::layout::kWallClockPages, vcpu);
}

// A VMM sees nothing where there is no memory, and a guest that would read there is not run at all.
template <class Num, class HostType>
bool Machine<Num, HostType>::looks_outside_memory(const ops::Operation& op) const {
  const auto vcpu = [&]() -> const Vcpu<Num>& { return vcpus_[static_cast<std::size_t>(op.vcpu)]; };
  switch (op.kind) {
    case ops::OpKind::read_pvclock:
    case ops::OpKind::peek_pvclock:
      return !inside_memory(page_in_sight(vcpu()), kPvclockPageBytes, config_.memory_bytes);
    case ops::OpKind::peek_wall_clock:
      return !inside_memory(wall_clock_in_sight(vcpu()), kWallClockBytes, config_.memory_bytes);
    case ops::OpKind::peek_steal_time:
      return !inside_memory(steal_record_in_sight(vcpu()), kStealTimeBytes, config_.memory_bytes);
    case ops::OpKind::read_hyperv_page:
    case ops::OpKind::peek_hyperv_page:
      return !inside_memory(hyperv_page_in_sight(), kHypervPageBytes, config_.memory_bytes);
    default:
      return false;
  }
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::peek_page(int vcpu) {
  const PvclockPage<Num>& page = page_at(page_in_sight(at(vcpu)));
  Outcome out;
  out.add(ops::Field::version, Num(page.version));
  out.add(ops::Field::tsc_timestamp, page.tsc_timestamp);
  out.add(ops::Field::system_time, page.system_time);
  out.add(ops::Field::mul, Num(page.scale.mul));
  out.add(ops::Field::shift, Num(static_cast<std::uint64_t>(std::int64_t{page.scale.shift})));
  out.add(ops::Field::page_flags, Num(page.flags));
  return out;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::peek_wall_clock(int vcpu) {
  const WallClockPage<Num>& page = wall_clock_at(wall_clock_in_sight(at(vcpu)));
  Outcome out;
  out.add(ops::Field::version, Num(page.version));
  out.add(ops::Field::sec, page.sec);
  out.add(ops::Field::nsec, page.nsec);
  return out;
}

}  // namespace tscsim::model
