#include "model/world/runner.h"

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "model/kvm/machine_code.h"
#include "model/world/simulated_kvm.h"

namespace tscsim::model {
namespace {

using ops::OpKind;
using ops::Wide;

using FastKvm = SimulatedKvm<SimulatedHost>;

// A step's outcome, as long as the run lasts.
struct Kept {
  bool executed = false;
  bool supported = true;
  ops::Outcome outcome;
  bool succeeded() const { return executed && supported && outcome.error == 0; }
};

// One reading of a guest's clock, for the metrics.
struct Reading {
  std::int64_t at_ns = 0;
  std::int32_t host = 0, vcpu = 0;
  std::uint32_t khz = 0;
  std::uint64_t value = 0;
};

// What ops::run_program() knows of the rates of a VM, by which it converts durations in operands.
struct KnownRates {
  std::uint32_t vm_khz = 0;  // of vCPUs created later
  std::vector<std::uint32_t> vcpu_khz;
};

// Thrown inside a run, never out of it.
struct Stopped {
  std::string what, mend;
};

}  // namespace

class Runner::Run {
 public:
  explicit Run(const Compiled& compiled)
      : compiled_(compiled),
        specs_(compiled.hosts),
        code_(compiled.code),
        kept_(compiled.kept),
        stack_(compiled.stack_depth),
        rates_(specs_.size()),
        stable_(specs_.size()),
        saved_(specs_.size()) {
    for (const CompiledStep& step : compiled.steps) ops_.push_back(step.op);
    for (std::size_t i = 0; i < ops_.size(); ++i) order_.push_back(i);
    for (std::size_t host = 0; host < specs_.size(); ++host)
      hosts_.push_back(std::make_unique<FastKvm>(specs_[host], compiled.configs[host]));
    shifts_.resize(compiled.slots.size());
    times_.resize(ops_.size());
    for (std::size_t i = 0; i < ops_.size(); ++i) times_[i] = ops_[i].at_ns;
    tsc_readings_.reserve(ops_.size());
    clock_readings_.reserve(ops_.size());
    scratch_.reserve(ops_.size());
  }

  void set(std::size_t slot_number, std::int64_t value) {
    const Slot& slot = compiled_.slots.at(slot_number);
    ops::HostSpec* host = slot.kind > SlotKind::literal ? &specs_[slot.index] : nullptr;
    switch (slot.kind) {
      case SlotKind::at:
        times_[slot.index] = value;
        times_changed_ = true;
        break;
      case SlotKind::shift:
        shifts_[slot_number] = value;
        times_changed_ = true;
        break;
      case SlotKind::value:
        ops_[slot.index].value = static_cast<std::uint64_t>(value);
        break;
      case SlotKind::realtime:
        ops_[slot.index].realtime = static_cast<std::uint64_t>(value);
        break;
      case SlotKind::literal:
        set_literal(slot, value);
        break;
      case SlotKind::tsc_khz:
        host->tsc_khz = static_cast<std::uint32_t>(value);
        break;
      case SlotKind::tsc_error_ppb:
        host->tsc_error_ppb = value;
        break;
      case SlotKind::uptime_ns:
        host->uptime_ns = value;
        break;
      case SlotKind::realtime_ns:
        host->realtime_ns = value;
        break;
      case SlotKind::realtime_error_ns:
        host->realtime_error_ns = value;
        break;
      case SlotKind::realtime_drift_ppb:
        host->realtime_drift_ppb = value;
        break;
      case SlotKind::pcpu_tsc_offset:
        host->pcpus[slot.part].tsc_offset = value;
        break;
    }
  }

  bool run() {
    start();
    std::size_t step = 0;
    try {
      for (const std::size_t index : order_) execute(step = index);
      return true;
    } catch (const Stopped& stopped) {
      fail(step, stopped.what, stopped.mend);
    } catch (const ops::ExpressionError& error) {
      fail(step, error.what(), error.mend);
    }
    return false;
  }

  const ops::Diagnostic& failure() const { return failure_; }

  std::optional<Wide> captured(std::size_t capture) const {
    const Compiled::Wanted& wanted = compiled_.captures.at(capture);
    const Kept& kept = kept_[wanted.kept];
    const std::uint64_t* value = kept.succeeded() ? kept.outcome.find(wanted.field) : nullptr;
    if (!value) return std::nullopt;
    return ops::numeric_value(wanted.kind, wanted.field, *value);
  }

  const ops::Outcome* outcome(std::size_t step) const {
    const std::uint32_t index = compiled_.steps.at(step).kept;
    if (index == kNotKept || !kept_[index].executed || !kept_[index].supported) return nullptr;
    return &kept_[index].outcome;
  }

  std::optional<bool> master_clock(std::size_t host) const { return stable_[host]; }

  RunMetrics metrics() {
    RunMetrics result;
    result.tsc_skew = skew_of(tsc_readings_);
    result.kvmclock_skew = skew_of(clock_readings_);
    result.tsc_jump = jump_of(tsc_readings_, true);
    result.kvmclock_jump = jump_of(clock_readings_, false);
    return result;
  }

 private:
  // ---- before a run ----

  void set_literal(const Slot& slot, std::int64_t value) {
    std::size_t part = slot.part;
    for (std::uint32_t at = compiled_.steps[slot.index].value.begin;; ++at)
      if (code_[at].code == ops::Expression::Code::push && part-- == 0) {
        code_[at].number = value;
        return;
      }
  }

  void start() {
    if (times_changed_) arrange();
    for (std::size_t host = 0; host < hosts_.size(); ++host) {
      hosts_[host]->restart(specs_[host]);
      rates_[host].vm_khz = specs_[host].tsc_khz;
      rates_[host].vcpu_khz.clear();
      stable_[host].reset();
      saved_[host].clear();
    }
    for (Kept& kept : kept_) kept.executed = false;
    tsc_readings_.clear();
    clock_readings_.clear();
  }

  // Steps in the order of their times: what the parser does with a timeline.
  void arrange() {
    times_changed_ = false;
    for (std::size_t i = 0; i < ops_.size(); ++i) ops_[i].at_ns = times_[i];
    for (std::size_t slot = 0; slot < shifts_.size(); ++slot)
      for (std::size_t i = compiled_.slots[slot].index; shifts_[slot] != 0 && i < ops_.size(); ++i)
        ops_[i].at_ns += shifts_[slot];
    const bool in_order = are_in_order();
    if (in_order && in_written_order_) return;
    const std::size_t first = compiled_.setup_steps;
    for (std::size_t i = first; i < order_.size(); ++i) order_[i] = i;
    in_written_order_ = in_order;
    if (in_order) return;
    for (std::size_t i = first + 1; i < order_.size(); ++i)  // insertion: most are in order already
      for (std::size_t j = i; j > first && ops_[order_[j]].at_ns < ops_[order_[j - 1]].at_ns; --j)
        std::swap(order_[j], order_[j - 1]);
  }

  // The timeline's steps as they are written.
  bool are_in_order() const {
    std::int64_t last = INT64_MIN;
    bool in_order = true;
    for (std::size_t i = compiled_.setup_steps; i < ops_.size(); ++i) {
      in_order &= ops_[i].at_ns >= last;
      last = ops_[i].at_ns;
    }
    return in_order;
  }

  // ---- one step ----

  void execute(std::size_t index) {
    const CompiledStep& step = compiled_.steps[index];
    ops::Operation& op = ops_[index];
    if (step.computed) fill_in(step, op);
    FastKvm& kvm = *hosts_[static_cast<std::size_t>(op.host)];
    Kept& kept = step.kept == kNotKept ? spare_ : kept_[step.kept];
    perform(step.executes, kvm, op, kept);
    if (step.learns) learn(op, kept);
    if (compiled_.metrics && step.reads_clock) note_reading(op, kept);
    if (step.touches) kvm.touch_all(op.at_ns);
    if (step.shows_clock && compiled_.metrics)
      stable_[static_cast<std::size_t>(op.host)] = kvm.machine().clock_is_stable(kvm.host());
  }

  void perform(Executes executes, FastKvm& kvm, const ops::Operation& op, Kept& kept) {
    const int pcpu = kvm.arrive(op.at_ns, ops::by_main_thread(op) ? ops::kVm : op.vcpu);
    kept.executed = kept.supported = true;
    if (executes == Executes::machine) {
      // In its place: an outcome has nothing to destroy, and copying it is a tenth of a short operation.
      ::new (static_cast<void*>(&kept.outcome)) ops::Outcome(kvm.perform(op, pcpu));
      return;
    }
    kept.outcome = {};
    if (executes == Executes::saves_memory) saved_[static_cast<std::size_t>(op.host)] = kvm.machine().memory();
    else if (executes == Executes::loads_memory) kvm.machine().set_memory(saved_.at(op.value));
    else kept.supported = FastKvm::supported(kvm.happen(op));
  }

  // ---- operands ----

  void fill_in(const CompiledStep& step, ops::Operation& op) {
    if (step.saved != kNotKept) give_back(step, op);
    if (!step.value.empty()) op.value = operand(step.value, op);
    if (!step.realtime.empty()) op.realtime = operand(step.realtime, op);
  }

  const Kept& needed(std::uint32_t index) const {
    const Kept& kept = kept_[index];
    if (!kept.executed) throw Stopped{"this step needs what is captured only after it", "let it come later"};
    if (!kept.supported) throw Stopped{"this step needs what its host could not do", {}};
    if (kept.outcome.error != 0)
      throw Stopped{
          "this step needs what an operation returned that failed with errno " + std::to_string(kept.outcome.error),
          {}};
    return kept;
  }

  // An operation returns its fields in one order, so a field is where it was the last time.
  Wide loaded(OperandCode& code) const {
    const ops::Outcome& outcome = needed(code.captured).outcome;
    if (code.position >= outcome.count || outcome.fields[code.position].field != code.field)
      for (code.position = 0; code.position < outcome.count && outcome.fields[code.position].field != code.field;)
        ++code.position;
    if (code.position == outcome.count)
      throw Stopped{"a captured operation has no field '" + std::string(ops::name_of(code.field)) + "'", {}};
    return ops::numeric_value(code.kind, code.field, outcome.fields[code.position].value);
  }

  static Wide field_of(const Kept& kept, OpKind kind, ops::Field field) {
    const std::uint64_t* value = kept.outcome.find(field);
    if (!value) throw Stopped{"a captured operation has no field '" + std::string(ops::name_of(field)) + "'", {}};
    return ops::numeric_value(kind, field, *value);
  }

  std::uint64_t operand(Span span, const ops::Operation& op) {
    using Code = ops::Expression::Code;
    Wide* top = stack_.data();  // one above the uppermost
    for (std::uint32_t i = span.begin; i != span.end; ++i) {
      OperandCode& code = code_[i];
      if (code.code == Code::push) {
        *top++ = code.number;
      } else if (code.code == Code::load) {
        *top++ = loaded(code);
      } else {
        const Wide right = *--top;
        const Wide left = ops::Expression::taken_by(code.code) == 2 ? *--top : Wide{0};
        *top++ = ops::Expression::combine(code.code, left, right, khz_for(op), 0);
      }
    }
    const Wide value = stack_.front();
    if (value < Wide{INT64_MIN} || value > Wide{UINT64_MAX}) throw Stopped{"the value does not fit 64 bits", {}};
    return static_cast<std::uint64_t>(value);
  }

  void give_back(const CompiledStep& step, ops::Operation& op) const {
    const Kept& kept = needed(step.saved);
    const auto field = [&](ops::Field name) {
      return static_cast<std::uint64_t>(field_of(kept, OpKind::get_clock, name));
    };
    if (op.kind == OpKind::set_tsc_state) {
      op.value = field(ops::Field::tsc);
      op.realtime = field(ops::Field::nsec);
      op.tsc_adjust = field(ops::Field::tsc_adjust);
      op.flags = static_cast<std::uint32_t>(field(ops::Field::flags));
    } else {
      op.value = field(ops::Field::tsc_timestamp);
      op.realtime = field(ops::Field::system_time);
      op.mul = static_cast<std::uint32_t>(field(ops::Field::mul));
      op.shift = static_cast<std::int8_t>(field(ops::Field::shift));
    }
  }

  // ---- rates, as ops::run_program() learns them ----

  std::uint32_t& known_khz(const ops::Operation& op) {
    KnownRates& rates = rates_[static_cast<std::size_t>(op.host)];
    const auto vcpu = static_cast<std::size_t>(op.vcpu);
    return op.vcpu == ops::kVm || vcpu >= rates.vcpu_khz.size() ? rates.vm_khz : rates.vcpu_khz[vcpu];
  }

  std::uint32_t khz_for(const ops::Operation& op) {
    if (op.kind == OpKind::jump_host_tsc) return specs_[static_cast<std::size_t>(op.host)].tsc_khz;
    return known_khz(op);
  }

  void learn(const ops::Operation& op, const Kept& kept) {
    if (!kept.succeeded()) return;
    KnownRates& rates = rates_[static_cast<std::size_t>(op.host)];
    if (op.kind == OpKind::create_vm) {
      rates.vm_khz = specs_[static_cast<std::size_t>(op.host)].tsc_khz;
      rates.vcpu_khz.clear();
      return;
    }
    if (op.kind == OpKind::create_vcpu) {
      rates.vcpu_khz.push_back(rates.vm_khz);
      return;
    }
    const std::uint64_t khz = op.kind == OpKind::set_tsc_khz ? op.value : *kept.outcome.find(ops::Field::value);
    if (khz > UINT32_MAX) return;
    known_khz(op) = khz == 0 ? specs_[static_cast<std::size_t>(op.host)].tsc_khz : static_cast<std::uint32_t>(khz);
  }

  // ---- metrics ----

  void note_reading(const ops::Operation& op, const Kept& kept) {
    const bool clock = op.kind == OpKind::read_pvclock;
    const std::uint64_t* value = kept.outcome.find(clock ? ops::Field::ns : ops::Field::value);
    if (kept.outcome.error != 0 || !value) return;
    (clock ? clock_readings_ : tsc_readings_).push_back({op.at_ns, op.host, op.vcpu, known_khz(op), *value});
  }

  // Of each instant, how far apart the first readings of the vCPUs are.
  std::optional<std::uint64_t> skew_of(const std::vector<Reading>& readings) {
    std::optional<std::uint64_t> widest;
    for (std::size_t i = 0; i < readings.size(); ++i) {
      const auto same_instant = [&](const Reading& r) {
        return r.at_ns == readings[i].at_ns && r.host == readings[i].host;
      };
      if (std::any_of(readings.begin(), readings.begin() + static_cast<std::ptrdiff_t>(i), same_instant)) continue;
      scratch_.clear();
      for (std::size_t j = i; j < readings.size(); ++j) {
        const auto same_vcpu = [&](const Reading& r) { return r.vcpu == readings[j].vcpu; };
        if (same_instant(readings[j]) && std::none_of(scratch_.begin(), scratch_.end(), same_vcpu))
          scratch_.push_back(readings[j]);
      }
      if (scratch_.size() < 2) continue;
      std::int64_t least = 0, most = 0;
      const Reading& first = *std::min_element(scratch_.begin(), scratch_.end(),
                                               [](const Reading& a, const Reading& b) { return a.vcpu < b.vcpu; });
      for (const Reading& reading : scratch_) {
        const auto ahead = static_cast<std::int64_t>(reading.value - first.value);
        least = std::min(least, ahead);
        most = std::max(most, ahead);
      }
      widest = std::max(widest.value_or(0), static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least));
    }
    return widest;
  }

  // What a vCPU's clock gained on the host's between two readings in a row, where that is most.
  static std::optional<std::int64_t> jump_of(const std::vector<Reading>& readings, bool cycles) {
    std::optional<std::int64_t> greatest;
    const auto magnitude = [](std::int64_t jump) {
      return jump < 0 ? 0 - static_cast<std::uint64_t>(jump) : static_cast<std::uint64_t>(jump);
    };
    std::int32_t vcpus = 0;
    for (const Reading& reading : readings) vcpus = std::max(vcpus, reading.vcpu + 1);
    for (std::int32_t vcpu = 0; vcpu < vcpus; ++vcpu) {
      const Reading* before = nullptr;
      for (const Reading& reading : readings) {
        if (reading.vcpu != vcpu) continue;
        if (before) {
          const std::int64_t elapsed_ns = reading.at_ns - before->at_ns;
          const Wide host_progress = cycles ? Wide{elapsed_ns} * reading.khz / 1'000'000 : Wide{elapsed_ns};
          const auto jump =
              static_cast<std::int64_t>(reading.value - before->value - static_cast<std::uint64_t>(host_progress));
          if (!greatest || magnitude(jump) > magnitude(*greatest)) greatest = jump;
        }
        before = &reading;
      }
    }
    return greatest;
  }

  void fail(std::size_t step, std::string what, std::string mend) {
    failure_ = {compiled_.places[step], std::move(what), std::move(mend), {}, 1};
  }

  const Compiled& compiled_;
  std::vector<ops::HostSpec> specs_;  // this run's
  std::vector<ops::Operation> ops_;
  std::vector<OperandCode> code_;
  std::vector<std::int64_t> times_;   // of each step, before shifts
  std::vector<std::int64_t> shifts_;  // of each slot
  bool times_changed_ = false;
  bool in_written_order_ = false;   // what order_ says
  std::vector<std::size_t> order_;  // of execution
  std::vector<std::unique_ptr<FastKvm>> hosts_;
  std::vector<Kept> kept_;
  Kept spare_;
  std::vector<Wide> stack_;
  std::vector<KnownRates> rates_;  // by host
  std::vector<std::optional<bool>> stable_;
  std::vector<GuestMemory<std::uint64_t>> saved_;
  std::vector<Reading> tsc_readings_, clock_readings_, scratch_;
  ops::Diagnostic failure_;
};

Runner::Runner(const Compiled& compiled) : run_(std::make_unique<Run>(compiled)) {}
Runner::~Runner() = default;
Runner::Runner(Runner&&) noexcept = default;

void Runner::set(std::size_t slot, std::int64_t value) { run_->set(slot, value); }
bool Runner::run() { return run_->run(); }
const ops::Diagnostic& Runner::failure() const { return run_->failure(); }
std::optional<Wide> Runner::captured(std::size_t capture) const { return run_->captured(capture); }
RunMetrics Runner::metrics() const { return run_->metrics(); }
std::optional<bool> Runner::master_clock(std::size_t host) const { return run_->master_clock(host); }
const ops::Outcome* Runner::outcome(std::size_t step) const { return run_->outcome(step); }

}  // namespace tscsim::model
