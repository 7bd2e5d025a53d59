// One simulated host with its VM: the host's clocks, KVM's state machine on them, the queue for what KVM does later on
// its own, and which pCPU runs what. Everything inside one operation happens at the same instant.
//
// `HostType` says how the machine sees its host: as Host<std::uint64_t>, with a story and trace events (`tscsim run`), or as
// the SimulatedHost itself, without (Runner).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/host/host_clock.h"
#include "model/host/simulated_host.h"
#include "model/kvm/machine.h"
#include "ops/operation.h"
#include "ops/program.h"
#include "sim/event_queue.h"
#include "sim/time.h"

namespace tscsim::model {

// Its clock starts at scenario time 0, like every other's.
template <class HostType>
class SimulatedKvm {
 public:
  SimulatedKvm(const ops::HostSpec& spec, const MachineConfig& config)
      : clock_(spec), machine_(config), host_(clock_, config.era, queue_), offline_(spec.pcpus.size()) {}
  SimulatedKvm(const SimulatedKvm&) = delete;
  SimulatedKvm& operator=(const SimulatedKvm&) = delete;

  // The host at scenario time 0 again, as `spec` has it (of as many pCPUs), without a VM.
  void restart(const ops::HostSpec& spec) {
    clock_.restart(spec);
    queue_.clear();
    host_.note_due();
    machine_.restart(spec.tsc_khz);
    machine_.forget_master_clock();
    threads_.clear();
    offline_.assign(offline_.size(), false);
  }

  Machine<std::uint64_t, HostType>& machine() { return machine_; }
  const Machine<std::uint64_t, HostType>& machine() const { return machine_; }
  const HostClock& clock() const { return clock_; }
  SimulatedHost& host() { return host_; }

  // Scenario time goes on to `at_ns`; what KVM put off until then runs.
  void advance_to(std::int64_t at_ns) {
    while (host_.due_ns() <= at_ns && !queue_.empty()) {
      const auto event = queue_.pop();
      host_.note_due();
      clock_.advance_to(std::max(event.time.ns, clock_.now_ns()));
      if (event.payload == DelayedWork::clocksource_falls_away) clock_.set_tsc_clocksource(false);
      machine_.run_delayed(event.payload, host_);
    }
    clock_.advance_to(std::max(at_ns, clock_.now_ns()));  // what was due while the host slept is late
  }

  // Whatever follows happens on the pCPU of this vCPU, which is returned; kVm: on pCPU 0. Its thread has waited for
  // `waited_ns` more than the steps said.
  int enter(std::int32_t vcpu, std::uint64_t waited_ns = 0) {
    const Thread& thread = thread_of(vcpu);
    host_.run_on(thread.pcpu, thread.run_delay_ns + waited_ns);
    return thread.pcpu;
  }

  int arrive(std::int64_t at_ns, std::int32_t vcpu) {
    advance_to(at_ns);
    return enter(vcpu);
  }

  int pcpu_of(std::int32_t vcpu) { return thread_of(vcpu).pcpu; }
  void place(std::int32_t vcpu, int pcpu) { thread_of(vcpu).pcpu = pcpu; }

  // Why an operation was not executed, or had no effect.
  enum class Obstacle : std::uint8_t { none, tsc_stays_away, pcpu_not_online, pcpu_already_there, pcpu_already_away };
  static bool supported(Obstacle obstacle) { return obstacle <= Obstacle::tsc_stays_away; }

  // What happens on the host, to its clocks, CPUs or threads: ops::is_host_event(), move_vcpu, delay_vcpu.
  Obstacle happen(const ops::Operation& op) {
    switch (op.kind) {
      case ops::OpKind::move_vcpu:
        return move(op);
      case ops::OpKind::delay_vcpu:
        thread_of(op.vcpu).run_delay_ns += op.value;
        return Obstacle::none;
      case ops::OpKind::set_clocksource:
        return change_clocksource(op.value != 0);
      case ops::OpKind::mark_tsc_unstable:
        host_.mark_tsc_unstable();
        return Obstacle::none;
      case ops::OpKind::jump_host_tsc:
        clock_.jump_tsc(op.pcpu, static_cast<std::int64_t>(op.value));
        return Obstacle::none;
      case ops::OpKind::suspend_host:
        suspend(op);
        return Obstacle::none;
      default:
        return switch_pcpu(op);
    }
  }

  // Anything else.
  ops::Outcome perform(const ops::Operation& op, int pcpu) {
    if (op.kind == ops::OpKind::create_vm) leave_vm();
    return machine_.perform(op, pcpu, host_);
  }

  // Every vCPU is looked at by an ioctl at `at_ns`, once or several times in a row: at the same instant, a second look
  // finds what the first one left, and leaves that.
  void touch_all(std::int64_t at_ns) {
    const int vcpus = static_cast<int>(machine_.vcpus().size());
    advance_to(at_ns);
    for (int vcpu = 0; vcpu < vcpus; ++vcpu) machine_.visit(vcpu, enter(vcpu), host_);
  }

 private:
  // Jiffies stand while the host sleeps, and the delays that count them with them.
  void put_off_by(std::int64_t slept_ns) {
    waiting_.clear();
    while (!queue_.empty()) waiting_.push_back(queue_.pop());
    for (const auto& event : waiting_) queue_.schedule(event.time + slept_ns, event.payload);
    host_.note_due();
  }

  // The process that had the VM is gone, its threads and what KVM had put off for it with it.
  void leave_vm() {
    std::vector<sim::SimTime> of_the_host;
    while (!queue_.empty()) {
      const auto event = queue_.pop();
      if (event.payload == DelayedWork::clocksource_falls_away) of_the_host.push_back(event.time);
    }
    for (const sim::SimTime time : of_the_host) queue_.schedule(time, DelayedWork::clocksource_falls_away);
    host_.note_due();
    threads_.clear();
  }

  // A vCPU's thread; kVm: the VMM's own.
  struct Thread {
    int pcpu = 0;
    std::uint64_t run_delay_ns = 0;
  };
  Thread& thread_of(std::int32_t vcpu) {
    const auto index = static_cast<std::size_t>(vcpu - ops::kVm);
    while (index >= threads_.size())
      threads_.push_back({threads_.empty() ? 0 : first_pcpu(static_cast<int>(threads_.size()) - 1), 0});
    return threads_[index];
  }

  int first_pcpu(int vcpu) const {
    const int pcpus = clock_.pcpus();
    const int pcpu = vcpu < pcpus ? vcpu : pcpus == 1 ? 0 : vcpu % pcpus;
    return offline(pcpu) ? 0 : pcpu;
  }

  bool offline(int pcpu) const { return offline_[static_cast<std::size_t>(pcpu)]; }

  Obstacle move(const ops::Operation& op) {
    if (op.value >= static_cast<std::uint64_t>(clock_.pcpus()) || offline(static_cast<int>(op.value)))
      return Obstacle::pcpu_not_online;
    place(op.vcpu, static_cast<int>(op.value));
    return Obstacle::none;
  }

  // Kernel: Linux v6.12 kernel/time/clocksource.c: an unstable clocksource cannot be chosen while ticks are high
  // resolution; the write succeeds all the same.
  Obstacle change_clocksource(bool tsc) {
    if (tsc && clock_.tsc_unstable()) return Obstacle::tsc_stays_away;
    if (clock_.tsc_clocksource() != tsc) machine_.notice_clocksource_change(tsc);
    clock_.set_tsc_clocksource(tsc);
    return Obstacle::none;
  }

  void suspend(const ops::Operation& op) {
    machine_.prepare_suspend();
    clock_.suspend(static_cast<std::int64_t>(op.value), (op.flags & ops::suspend_flag::kTscRestarts) != 0);
    put_off_by(static_cast<std::int64_t>(op.value));
    for (int pcpu = 0; pcpu < clock_.pcpus(); ++pcpu)
      if (!offline(pcpu)) enable_hardware(pcpu);
  }

  void enable_hardware(int pcpu) {
    host_.run_on(pcpu);
    machine_.enable_hardware(pcpu, host_);
  }

  Obstacle switch_pcpu(const ops::Operation& op) {
    const bool online = op.kind == ops::OpKind::online_pcpu;
    const auto pcpu = static_cast<int>(op.value);
    if (pcpu >= clock_.pcpus() || offline(pcpu) != online)
      return online ? Obstacle::pcpu_already_there : Obstacle::pcpu_already_away;
    offline_[static_cast<std::size_t>(pcpu)] = !online;
    if (online) {
      enable_hardware(pcpu);
      return Obstacle::none;
    }
    for (Thread& thread : threads_)
      if (thread.pcpu == pcpu) thread.pcpu = 0;
    return Obstacle::none;
  }

  HostClock clock_;
  sim::EventQueue<DelayedWork> queue_;
  std::vector<sim::EventQueue<DelayedWork>::Event> waiting_;  // of put_off_by(), which allocates once
  Machine<std::uint64_t, HostType> machine_;
  SimulatedHost host_;
  std::vector<Thread> threads_;  // the VMM's own, then the vCPUs'
  std::vector<bool> offline_;    // by pCPU
};

}  // namespace tscsim::model
