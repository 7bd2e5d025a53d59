#include "scenarios/timeline_words.h"

namespace tscsim::scenarios {
namespace {

using ops::OpKind;

constexpr Word kWords[] = {
    {"set_msr", OpKind::set_msr, Target::vcpu, Operand::msr_value},
    {"get_msr", OpKind::get_msr, Target::vcpu, Operand::msr_name},
    {"wrmsr", OpKind::wrmsr, Target::vcpu, Operand::msr_value},
    {"rdmsr", OpKind::rdmsr, Target::vcpu, Operand::msr_name},
    {"rdtsc", OpKind::rdtsc, Target::vcpu, Operand::capture},
    {"rdtscp", OpKind::rdtscp, Target::vcpu, Operand::capture},
    {"get_clock", OpKind::get_clock, Target::vm, Operand::capture},
    {"set_clock", OpKind::set_clock, Target::vm, Operand::clock},
    {"set_tsc_offset", OpKind::set_tsc_offset, Target::vcpu, Operand::offset},
    {"get_tsc_offset", OpKind::get_tsc_offset, Target::vcpu, Operand::capture},
    {"set_tsc_khz", OpKind::set_tsc_khz, Target::either, Operand::khz},
    {"get_tsc_khz", OpKind::get_tsc_khz, Target::either, Operand::capture},
    {"create_vcpu", OpKind::create_vcpu, Target::vm, Operand::new_vcpu},
    {"kvmclock", OpKind::set_msr, Target::vcpu, Operand::state},
    {"kvmclock_ctrl", OpKind::kvmclock_ctrl, Target::vcpu, Operand::nothing},
    {"set_lapic", OpKind::set_lapic, Target::vcpu, Operand::lapic},
    {"bump_vmclock", OpKind::bump_vmclock, Target::vm, Operand::nothing},
    {"run", OpKind::run, Target::vcpu, Operand::nothing},
    {"read_pvclock", OpKind::read_pvclock, Target::vcpu, Operand::capture},
    {"peek_pvclock", OpKind::peek_pvclock, Target::vcpu, Operand::capture},
    {"wall_clock", OpKind::peek_wall_clock, Target::vcpu, Operand::capture},
    {"peek_wall_clock", OpKind::peek_wall_clock, Target::vcpu, Operand::capture},
    {"hyperv_tsc_page", OpKind::set_msr, Target::vcpu, Operand::state},
    {"read_hyperv_page", OpKind::read_hyperv_page, Target::vcpu, Operand::capture},
    {"peek_hyperv_page", OpKind::peek_hyperv_page, Target::vm, Operand::capture},
    {"steal_time", OpKind::set_msr, Target::vcpu, Operand::state},
    {"peek_steal_time", OpKind::peek_steal_time, Target::vcpu, Operand::capture},
    {"delay_vcpu", OpKind::delay_vcpu, Target::vcpu, Operand::duration},
    {"delay_main_thread", OpKind::delay_vcpu, Target::vm, Operand::duration},
    {"enter_l2", OpKind::enter_l2, Target::vcpu, Operand::nested},
    {"leave_l2", OpKind::leave_l2, Target::vcpu, Operand::nothing},
    {"move_vcpu", OpKind::move_vcpu, Target::vcpu, Operand::pcpu},
    {"set_clocksource", OpKind::set_clocksource, Target::vm, Operand::clocksource},
    {"mark_tsc_unstable", OpKind::mark_tsc_unstable, Target::vm, Operand::nothing},
    {"jump_host_tsc", OpKind::jump_host_tsc, Target::vm, Operand::tsc_jump},
    {"suspend_host", OpKind::suspend_host, Target::vm, Operand::suspend},
    {"offline_pcpu", OpKind::offline_pcpu, Target::vm, Operand::hotplug},
    {"online_pcpu", OpKind::online_pcpu, Target::vm, Operand::hotplug},
    {"sample", OpKind::rdtsc, Target::either, Operand::sample},
    {"read_clock", OpKind::read_clock, Target::vcpu, Operand::guest},
    {"read_cpu_times", OpKind::read_cpu_times, Target::vcpu, Operand::capture},
    {"guest_state", OpKind::guest_state, Target::vm, Operand::capture},
    {"online_vcpu", OpKind::online_vcpu, Target::vm, Operand::guest},
    {"offline_vcpu", OpKind::offline_vcpu, Target::vm, Operand::guest},
    {"step_realtime", OpKind::step_realtime, Target::vm, Operand::guest},
    {"block_task", OpKind::block_task, Target::vm, Operand::guest},
    {"suspend_guest", OpKind::suspend_guest, Target::vm, Operand::nothing},
    {"wake_guest", OpKind::wake_guest, Target::vm, Operand::nothing},
    {"pause_vm", OpKind::pause_vm, Target::vm, Operand::guest},
    {"resume_vm", OpKind::resume_vm, Target::vm, Operand::nothing},
    {"share_pcpus", OpKind::share_pcpus, Target::vm, Operand::guest},
    {"create_vm", OpKind::create_vm, Target::vm, Operand::nothing},
    {"transfer", OpKind::load_memory, Target::vm, Operand::transfer},
    {"save_memory", OpKind::save_memory, Target::vm, Operand::nothing},
    {"load_memory", OpKind::load_memory, Target::vm, Operand::memory},
    {"get_tsc_state", OpKind::get_tsc_state, Target::vcpu, Operand::capture},
    {"set_tsc_state", OpKind::set_tsc_state, Target::vcpu, Operand::tsc_state},
    {"disable_quirks", OpKind::disable_quirks, Target::vm, Operand::quirks},
    {"get_clock_guest", OpKind::get_clock_guest, Target::vcpu, Operand::capture},
    {"set_clock_guest", OpKind::set_clock_guest, Target::vcpu, Operand::clock_guest},
    {"get_tsc_scale", OpKind::get_tsc_scale, Target::vcpu, Operand::capture},
    {"start", OpKind::create_vm, Target::vm, Operand::procedure},
    {"pause", OpKind::run, Target::vm, Operand::procedure},
    {"reset", OpKind::run, Target::vm, Operand::procedure},
    {"snapshot", OpKind::save_memory, Target::vm, Operand::procedure},
    {"restore", OpKind::load_memory, Target::vm, Operand::procedure},
    {"migrate", OpKind::load_memory, Target::vm, Operand::procedure},
    {"hotplug", OpKind::create_vcpu, Target::vm, Operand::procedure},
};

}  // namespace

const Word* find_word(const std::string& text) {
  for (const Word& word : kWords)
    if (text == word.text) return &word;
  return nullptr;
}

std::vector<std::string> words() {
  std::vector<std::string> all;
  for (const Word& word : kWords)
    if (word.operand != Operand::procedure) all.emplace_back(word.text);
  return all;
}

std::vector<std::string> procedure_words() {
  std::vector<std::string> all;
  for (const Word& word : kWords)
    if (word.operand == Operand::procedure) all.emplace_back(word.text);
  return all;
}

}  // namespace tscsim::scenarios
