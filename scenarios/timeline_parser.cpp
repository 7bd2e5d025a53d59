// One line of the timeline is one word of the language with its operands. Words map to operations almost one
// to one; the exceptions (kvmclock, wall_clock, sample, vcpu: all) are written out here, so nothing below the
// parser knows of them.
#include "scenarios/timeline_parser.h"

#include <algorithm>
#include <limits>

#include "scenarios/errno_names.h"
#include "scenarios/guest_words.h"
#include "scenarios/kernel_groups.h"
#include "scenarios/units.h"

namespace tscsim::scenarios {
namespace {

using ops::OpKind;
using Kind = YamlNode::Kind;

enum class Target : std::uint8_t { vcpu, vm, either };

// What stands after the colon.
enum class Operand : std::uint8_t {
  nothing,
  capture,
  msr_name,
  msr_value,
  clock,
  offset,
  khz,
  new_vcpu,
  state,
  duration,
  nested,
  pcpu,
  clocksource,
  hotplug,
  tsc_jump,
  suspend,
  sample,
  transfer,
  tsc_state,
  clock_guest,
  quirks,
  lapic,
  guest,  // a Linux guest's words, guest_words.h
};

struct Word {
  const char* text;
  OpKind kind;  // of the step, or of its first operation
  Target target;
  Operand operand;
};

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
    {"pause_vm", OpKind::pause_vm, Target::vm, Operand::nothing},
    {"resume_vm", OpKind::resume_vm, Target::vm, Operand::nothing},
    {"share_pcpus", OpKind::share_pcpus, Target::vm, Operand::guest},
    {"create_vm", OpKind::create_vm, Target::vm, Operand::nothing},
    {"transfer", OpKind::load_memory, Target::vm, Operand::transfer},
    {"get_tsc_state", OpKind::get_tsc_state, Target::vcpu, Operand::capture},
    {"set_tsc_state", OpKind::set_tsc_state, Target::vcpu, Operand::tsc_state},
    {"disable_quirks", OpKind::disable_quirks, Target::vm, Operand::quirks},
    {"get_clock_guest", OpKind::get_clock_guest, Target::vcpu, Operand::capture},
    {"set_clock_guest", OpKind::set_clock_guest, Target::vcpu, Operand::clock_guest},
    {"get_tsc_scale", OpKind::get_tsc_scale, Target::vcpu, Operand::capture},
};

const Word* find_word(const std::string& text) {
  for (const Word& word : kWords)
    if (text == word.text) return &word;
  return nullptr;
}

std::vector<std::string> step_keys() {
  std::vector<std::string> keys{"at", "on", "vcpu", "as", "fails", "gap"};
  for (const Word& word : kWords) keys.emplace_back(word.text);
  return keys;
}

std::vector<std::string> msr_names() {
  std::vector<std::string> names;
  for (const std::uint32_t index :
       {ops::msr::kIa32Tsc, ops::msr::kIa32TscAdjust, ops::msr::kIa32TscDeadline, ops::msr::kKvmWallClock, ops::msr::kKvmSystemTime,
        ops::msr::kKvmWallClockNew, ops::msr::kKvmSystemTimeNew, ops::msr::kKvmStealTime, ops::msr::kHvTimeRefCount,
        ops::msr::kHvReferenceTsc, ops::msr::kHvTscFrequency, ops::msr::kHvTscEmulationControl})
    names.emplace_back(ops::msr_name(index));
  return names;
}

std::uint64_t page_of(std::uint64_t pages, std::int32_t vcpu) {
  return pages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride;
}

bool is_system_time(std::uint32_t msr) {
  return msr == ops::msr::kKvmSystemTime || msr == ops::msr::kKvmSystemTimeNew;
}

bool counts_tsc(std::uint32_t msr) {
  return msr == ops::msr::kIa32Tsc || msr == ops::msr::kIa32TscAdjust || msr == ops::msr::kIa32TscDeadline;
}

std::string repeated_message(const Capture& capture) {
  return "'" + capture.name + "' is already captured";
}

class TimelineParser {
 public:
  TimelineParser(Reader& reader, const std::vector<ops::HostSpec>& hosts, const VmSpec& vm,
                 const std::vector<std::string>& kernels)
      : reader_(reader), diagnostics_(reader.diagnostics()), hosts_(hosts), vm_(vm), kernels_(kernels), vms_(hosts.size()) {
    for (const ops::HostSpec& host : hosts) out_.hosts.push_back(host.name);
  }

  Timeline parse(const YamlNode* node, const ops::Place& vm_place) {
    set_up(vm_place);
    if (node) parse_steps(*node);
    finish();
    return std::move(out_);
  }

 private:
  // That a step must fail, on all kernels or on some.
  struct Refusal {
    int error = 0;
    KernelRange kernels;
  };
  // One line of the file while it is read.
  struct Line {
    const YamlNode* node = nullptr;
    const Fields* fields = nullptr;
    const Word* word = nullptr;
    const YamlNode* operand = nullptr;
    std::int64_t at_ns = 0;
    std::int64_t gap_ns = 0;
    std::vector<std::int32_t> vcpus;  // kVm alone for operations on the VM
    std::string capture;
    std::vector<Refusal> fails;

    bool always_fails() const { return fails.size() == 1 && fails.front().kernels.from.empty(); }
  };
  struct Planned {
    ops::Step step;
    std::vector<Refusal> fails;
  };

  // ---- set-up ----

  void set_up(const ops::Place& place) {
    setup_step(OpKind::create_vm, ops::kVm, place).flags = vm_flags();
    for (std::int32_t vcpu = 0; vcpu < vm_.vcpus; ++vcpu) setup_step(OpKind::create_vcpu, vcpu, place).flags = vcpu_flags();
    here().exists = true;
    // A Linux guest enables its pages itself.
    here().kvmclock_on.assign(static_cast<std::size_t>(vm_.vcpus), vm_.kvmclock || (vm_.guest && vm_.guest->kvmclock));
    for (std::int32_t vcpu = 0; vm_.kvmclock && vcpu < vm_.vcpus; ++vcpu) {
      ops::Operation& op = setup_step(OpKind::set_msr, vcpu, place);
      op.msr = ops::msr::kKvmSystemTimeNew;
      op.value = page_of(ops::layout::kPvclockPages, vcpu) | 1;
    }
    out_.linux_guest = vm_.guest.has_value();
    if (vm_.guest && vm_.vcpus > 0) setup_step(OpKind::boot_guest, ops::kVm, place).guest = *vm_.guest;
  }

  std::uint32_t vm_flags() const { return vm_.irqchip ? ops::vm_flag::kIrqchip : 0; }
  std::uint32_t vcpu_flags() const { return vm_.hyperv ? ops::vcpu_flag::kHyperv : 0; }

  ops::Operation& setup_step(OpKind kind, std::int32_t vcpu, const ops::Place& place) {
    ops::Step step;
    step.op.kind = kind;
    step.op.vcpu = vcpu;
    step.place = place;
    out_.setup.push_back(std::move(step));
    return out_.setup.back().op;
  }

  // ---- hosts ----

  // The VM of one host while the lines are read.
  struct HostVm {
    bool exists = false;
    std::vector<bool> kvmclock_on;  // of each vCPU
    std::int32_t vcpus() const { return static_cast<std::int32_t>(kvmclock_on.size()); }
  };

  HostVm& vm_of(std::int32_t host) { return vms_[static_cast<std::size_t>(host)]; }
  HostVm& here() { return vm_of(host_); }
  const HostVm& here() const { return vms_[static_cast<std::size_t>(host_)]; }
  std::int32_t vcpu_count() const { return here().vcpus(); }
  std::string name_of(std::int32_t host) const { return "'" + out_.hosts[static_cast<std::size_t>(host)] + "'"; }

  std::optional<std::int32_t> host_from(const YamlNode& node) {
    const auto name = reader_.word(node, "host", out_.hosts);
    if (!name) return std::nullopt;
    return static_cast<std::int32_t>(std::find(out_.hosts.begin(), out_.hosts.end(), *name) - out_.hosts.begin());
  }

  // A step acts where the guest is, unless it says `on`.
  bool read_host(const Line& line) {
    host_ = out_.stays.back().host;
    const YamlNode* on = line.fields->find("on");
    if (!on) return true;
    if (line.word->operand == Operand::transfer) {
      diagnostics_.add(*line.fields->key("on"), "'transfer' names its hosts itself", "remove 'on'");
      return false;
    }
    const auto host = host_from(*on);
    host_ = host.value_or(host_);
    return host.has_value();
  }

  bool check_vm(const Line& line) {
    const OpKind kind = line.word->kind;
    if (ops::needs_linux_guest(kind) && kind != OpKind::share_pcpus && !vm_.guest) {
      diagnostics_.add(*line.fields->key(line.word->text), std::string("'") + line.word->text + "' needs a Linux guest",
                       "add 'vm: {guest: {kernel: 6.12}}'");
      return false;
    }
    const bool none_needed = kind == OpKind::create_vm || kind == OpKind::set_clocksource || kind == OpKind::load_memory;
    if (kind == OpKind::create_vm && here().exists) {
      diagnostics_.add(*line.fields->key(line.word->text), "host " + name_of(host_) + " has its VM already",
                       "remove this step, or name another host with 'on'");
      return false;
    }
    if (none_needed || here().exists) return true;
    diagnostics_.add(*line.node, "there is no VM on host " + name_of(host_) + " yet",
                     "bring the guest there with a step 'transfer', or write 'create_vm' first");
    return false;
  }

  // ---- lines ----

  void parse_steps(const YamlNode& node) {
    if (!node.is(Kind::sequence)) {
      diagnostics_.add(node, "expected timeline as a list of steps, found " + found_text(node),
                       "write each step as '- {at: 0 ms, vcpu: 0, rdtsc: a}'");
      return;
    }
    for (const YamlNode& item : node.items) {
      parse_step(item);
      if (planned_.size() > kMaxSteps) {
        diagnostics_.add(item, "the timeline expands into more than " + grouped(kMaxSteps) + " operations",
                         "sample less often or for a shorter time");
        return;
      }
    }
  }

  void parse_step(const YamlNode& node) {
    const Fields fields(diagnostics_, node, "a step", step_keys());
    if (!fields.valid()) return;
    Line line;
    line.node = &node;
    line.fields = &fields;
    bool good = read_word(line);
    good = read_instant(line) && good;
    if (!line.word) return;
    good = read_host(line) && good;
    if (!check_vm(line)) return;
    good = read_vcpus(line) && good;
    good = read_gap(line) && good;
    good = read_fails(line) && good;
    good = read_capture(line) && good;
    // A line at fault is still read to its end, so that all its faults are reported at once.
    const std::size_t before = planned_.size();
    read_operand(line);
    if (!good) planned_.resize(before);
  }

  bool read_word(Line& line) {
    const YamlNode* first = nullptr;
    for (const std::string& key : line.fields->keys()) {
      const Word* word = find_word(key);
      if (!word) continue;
      if (line.word) {
        diagnostics_.add_clash(*line.fields->key(key), "'" + key + "' is a second operation in this step",
                               "the first stands", diagnostics_.place(*first),
                               "write each in a step of its own");
        return false;
      }
      first = line.fields->key(key);
      line.word = word;
      line.operand = line.fields->find(key);
    }
    if (!line.word && line.node->members.size() == line.fields->keys().size())
      diagnostics_.add(*line.node, "this step has no operation", "add one, such as 'rdtsc: a'");
    return line.word != nullptr;
  }

  bool read_instant(Line& line) {
    const YamlNode* at = line.fields->find("at");
    if (!at) {
      diagnostics_.add(*line.node, "this step has no 'at'", "add 'at: 0 ms'");
      return false;
    }
    const auto ns = reader_.instant_ns(*at);
    if (!ns) return false;
    line.at_ns = *ns;
    if (*ns < last_at_ns_) {
      diagnostics_.add_clash(*at, found_text(*at) + " is before the step above", "that step's 'at' stands",
                             last_at_place_, "time runs down the page; move the line up");
      return false;
    }
    last_at_ns_ = *ns;
    last_at_place_ = diagnostics_.place(*at);
    return true;
  }

  std::vector<std::int32_t> all_vcpus() const {
    std::vector<std::int32_t> all;
    for (std::int32_t vcpu = 0; vcpu < vcpu_count(); ++vcpu) all.push_back(vcpu);
    return all;
  }

  bool read_one_vcpu(const YamlNode& node, std::vector<std::int32_t>& out) {
    const auto vcpu = reader_.integer(node, 0, ops::layout::kMaxVcpus - 1);
    if (!vcpu) return false;
    if (*vcpu >= vcpu_count()) {
      const std::string here =
          vcpu_count() == 1 ? "only vCPU 0 does" : "vCPUs 0 to " + std::to_string(vcpu_count() - 1) + " do";
      diagnostics_.add(node, "vCPU " + std::to_string(*vcpu) + " does not exist here; " + here,
                       "create more with 'vm: {vcpus: ...}' or a step 'create_vcpu'");
      return false;
    }
    const auto index = static_cast<std::int32_t>(*vcpu);
    if (std::find(out.begin(), out.end(), index) != out.end()) {
      diagnostics_.add(node, "vCPU " + std::to_string(index) + " is named twice", "name each once");
      return false;
    }
    out.push_back(index);
    return true;
  }

  bool read_vcpus(Line& line) {
    const YamlNode* node = line.fields->find("vcpu");
    const std::string word = line.word->text;
    if (line.word->target == Target::vm) {
      line.vcpus = {ops::kVm};
      if (!node) return true;
      diagnostics_.add(*line.fields->key("vcpu"), "'" + word + "' acts on the VM, not on one vCPU",
                       "remove 'vcpu'");
      return false;
    }
    if (!node) {
      line.vcpus = line.word->operand == Operand::sample ? all_vcpus() : std::vector<std::int32_t>{ops::kVm};
      if (line.word->target == Target::either) return true;
      diagnostics_.add(*line.node, "'" + word + "' needs a vCPU",
                       "add 'vcpu: 0', 'vcpu: [0, 1]' or 'vcpu: all'");
      return false;
    }
    return read_vcpu_list(*node, line.vcpus);
  }

  bool read_vcpu_list(const YamlNode& node, std::vector<std::int32_t>& out) {
    if (node.is(Kind::scalar) && node.text == "all") {
      out = all_vcpus();
      return true;
    }
    if (!node.is(Kind::sequence)) return read_one_vcpu(node, out);
    bool good = true;
    for (const YamlNode& item : node.items) good = read_one_vcpu(item, out) && good;
    if (node.items.empty())
      diagnostics_.add(node, "an empty list of vCPUs", "write 'vcpu: all' or name some");
    return good && !node.items.empty();
  }

  bool read_gap(Line& line) {
    const YamlNode* node = line.fields->find("gap");
    if (!node) return true;
    if (line.vcpus.size() < 2 || line.word->operand == Operand::sample) {
      diagnostics_.add(*line.fields->key("gap"), "'gap' stands between vCPUs, and this step has not several",
                       "name several vCPUs, or remove 'gap'");
      return false;
    }
    const auto ns = reader_.instant_ns(*node);
    line.gap_ns = ns.value_or(0);
    const auto last = static_cast<ops::Wide>(line.vcpus.size() - 1) * line.gap_ns + line.at_ns;
    if (last <= std::numeric_limits<std::int64_t>::max()) return ns.has_value();
    diagnostics_.add(*node, "the last vCPU's turn is beyond 292 years", "");
    return false;
  }

  bool read_fails(Line& line) {
    const YamlNode* node = line.fields->find("fails");
    if (!node) return true;
    if (line.word->operand == Operand::sample || line.word->operand == Operand::transfer) {
      diagnostics_.add(*line.fields->key("fails"),
                       std::string("a ") + line.word->text + " cannot be expected to fail", "remove 'fails'");
      return false;
    }
    if (node->is(Kind::mapping)) return read_fails_by_kernel(line, *node);
    const auto name = reader_.word(*node, "errno", errno_names());
    if (name) line.fails.push_back({*errno_from(*name), {}});
    return name.has_value();
  }

  // {5.7: EINVAL, 5.8: no}
  bool read_fails_by_kernel(Line& line, const YamlNode& node) {
    std::vector<std::string> words = errno_names();
    words.emplace_back("no");
    const std::size_t before = diagnostics_.size();
    for (const KernelGroup& group : parse_kernel_groups(reader_, node, "fails", kernels_, false)) {
      const auto name = reader_.word(*group.value, "errno", words);
      if (name && *name != "no") line.fails.push_back({*errno_from(*name), group.range});
    }
    return diagnostics_.size() == before;
  }

  // ---- captures ----

  // The name stands after `as`, or directly after the word of an operation that takes no other operand.
  const YamlNode* capture_node(const Line& line) {
    const YamlNode* as = line.fields->find("as");
    const bool direct = line.word->operand == Operand::capture && !line.operand->is(Kind::null);
    if (line.word->kind == OpKind::read_clock && line.operand->is(Kind::mapping) && line.operand->members.size() == 1 && !as)
      return &line.operand->members.front().value;
    if (!as || !direct) return as ? as : (direct ? line.operand : nullptr);
    diagnostics_.add_clash(*as, "this step captures into two names", "the first stands",
                           diagnostics_.place(*line.operand), "keep one of the two");
    return nullptr;
  }

  bool read_capture(Line& line) {
    const YamlNode* node = capture_node(line);
    if (!node) return true;
    const auto name = reader_.capture_name(*node);
    if (!name) return false;
    if (!may_capture(line, *node)) return false;
    Capture capture{*name, line.word->kind, capture_msr(line), line.vcpus.front(), diagnostics_.place(*node)};
    if (const Capture* first = find_capture(out_.captures, *name)) {
      diagnostics_.add_clash(*node, repeated_message(capture), "first captured", first->place,
                             "capture into another name");
      return false;
    }
    line.capture = *name;
    pending_capture_ = std::move(capture);
    return true;
  }

  bool may_capture(const Line& line, const YamlNode& node) {
    const std::string word = line.word->text;
    if (fields_of(line.word->kind).empty() || line.word->operand == Operand::sample) {
      diagnostics_.add(node, "'" + word + "' returns nothing to capture", "remove the name");
      return false;
    }
    if (line.vcpus.empty()) return false;  // reported already
    if (line.vcpus.size() > 1) {
      diagnostics_.add(node, found_text(node) + " cannot hold the readings of several vCPUs",
                       "write one step for each vCPU");
      return false;
    }
    if (!line.always_fails()) return true;
    diagnostics_.add(node, "a step that fails has nothing to capture", "remove the name or 'fails'");
    return false;
  }

  static std::uint32_t capture_msr(const Line& line) {
    if (line.word->operand != Operand::msr_name || !line.operand->is(Kind::scalar)) return 0;
    return ops::msr_from(line.operand->text).value_or(0);
  }

  // ---- operands ----

  void read_operand(const Line& line) {
    switch (line.word->operand) {
      case Operand::nothing:
        no_operand(line);
        break;
      case Operand::capture:
        reading(line);
        break;
      case Operand::msr_name:
        msr_read(line);
        break;
      case Operand::msr_value:
        msr_write(line);
        break;
      case Operand::clock:
        set_clock(line);
        break;
      case Operand::offset:
        value_step(line, ops::Unit::cycles, false);
        break;
      case Operand::khz:
        set_tsc_khz(line);
        break;
      case Operand::new_vcpu:
        create_vcpu(line);
        break;
      case Operand::state:
        switch_page(line);
        break;
      case Operand::duration:
        delay(line);
        break;
      case Operand::nested:
        enter_l2(line);
        break;
      case Operand::pcpu:
        move_vcpu(line);
        break;
      case Operand::clocksource:
        set_clocksource(line);
        break;
      case Operand::hotplug:
        hotplug(line);
        break;
      case Operand::tsc_jump:
        jump_host_tsc(line);
        break;
      case Operand::suspend:
        suspend_host(line);
        break;
      case Operand::sample:
        sample(line);
        break;
      case Operand::transfer:
        transfer(line);
        break;
      case Operand::tsc_state:
        give_back(line, {"state", "tsc", "nsec", OpKind::get_tsc_state, OpKind::get_tsc_state, "get_tsc_state"},
                  {"tsc_adjust", "flags"});
        break;
      case Operand::clock_guest:
        give_back(line,
                  {"page", "tsc_timestamp", "system_time", OpKind::get_clock_guest, OpKind::peek_pvclock,
                   "get_clock_guest or peek_pvclock"},
                  {"mul", "shift"});
        break;
      case Operand::quirks:
        disable_quirks(line);
        break;
      case Operand::lapic:
        set_lapic(line);
        break;
      case Operand::guest:
        guest_step(line);
        break;
    }
    if (pending_capture_) out_.captures.push_back(std::move(*pending_capture_));
    pending_capture_.reset();
  }

  ops::Step& plan(const Line& line, OpKind kind, std::int32_t vcpu, std::int64_t at_ns) {
    Planned planned;
    planned.step.op.kind = kind;
    planned.step.op.vcpu = vcpu;
    planned.step.op.at_ns = at_ns;
    planned.step.op.host = host_;
    planned.step.place = diagnostics_.place(*line.node);
    planned_.push_back(std::move(planned));
    return planned_.back().step;
  }

  // One step for each vCPU of the line; `fill` completes it.
  template <class Fill>
  void plan_each(const Line& line, Fill fill) {
    std::int64_t at_ns = line.at_ns;
    for (const std::int32_t vcpu : line.vcpus) {
      ops::Step& step = plan(line, line.word->kind, vcpu, at_ns);
      step.capture = line.capture;
      planned_.back().fails = line.fails;
      fill(step);
      at_ns = vcpu == line.vcpus.back() ? at_ns : at_ns + line.gap_ns;
    }
  }

  void no_operand(const Line& line) {
    if (!line.operand->is(Kind::null))
      diagnostics_.add(
          *line.operand,
          std::string("'") + line.word->text + "' takes no operand, found " + found_text(*line.operand),
          std::string("write '") + line.word->text + ":' with nothing after it");
    const bool creates = line.word->kind == OpKind::create_vm;
    plan_each(line, [&](ops::Step& step) { step.op.flags = creates ? vm_flags() : 0; });
    if (creates) here().exists = true;
  }

  void reading(const Line& line) {
    if (line.word->text == std::string_view("wall_clock")) return wall_clock(line);
    plan_each(line, [](ops::Step&) {});
  }

  // The host writes the MSR, KVM fills the structure, and the VMM looks at it.
  void wall_clock(const Line& line) {
    std::int64_t at_ns = line.at_ns;
    for (const std::int32_t vcpu : line.vcpus) {
      ops::Step& write = plan(line, OpKind::set_msr, vcpu, at_ns);
      write.op.msr = ops::msr::kKvmWallClockNew;
      write.op.value = page_of(ops::layout::kWallClockPages, vcpu);
      planned_.back().fails = line.fails;
      plan(line, OpKind::peek_wall_clock, vcpu, at_ns).capture = line.capture;
      at_ns = vcpu == line.vcpus.back() ? at_ns : at_ns + line.gap_ns;
    }
  }

  std::optional<std::uint32_t> msr_index(const YamlNode& node) {
    const auto name = reader_.word(node, "MSR", msr_names());
    return name ? ops::msr_from(*name) : std::nullopt;
  }

  void msr_read(const Line& line) {
    const auto msr = msr_index(*line.operand);
    if (msr) plan_each(line, [&](ops::Step& step) { step.op.msr = *msr; });
  }

  void msr_write(const Line& line) {
    const YamlNode& node = *line.operand;
    if (!node.is(Kind::mapping) || node.members.size() != 1) {
      diagnostics_.add(
          node,
          "expected one MSR with its value, found " +
              (node.is(Kind::mapping) ? std::to_string(node.members.size()) + " of them" : found_text(node)),
          std::string("write '") + line.word->text + ": {IA32_TSC: 0}'");
      return;
    }
    const auto& [name, value] = node.members.front();
    const auto msr = msr_index(name);
    const auto expression =
        reader_.expression(value, ops::Unit::cycles, msr && !counts_tsc(*msr), out_.captures);
    if (!msr || !expression) return;
    plan_each(line, [&](ops::Step& step) {
      step.op.msr = *msr;
      set_value(step.op.value, step.value, *expression);
      const bool enables = is_system_time(*msr) && (!step.value && (step.op.value & 1) != 0);
      if (is_system_time(*msr)) here().kvmclock_on[static_cast<std::size_t>(step.op.vcpu)] = enables;
    });
  }

  // A constant goes straight into the operation; anything else is evaluated when the step runs.
  static void set_value(std::uint64_t& constant, std::optional<ops::Expression>& later,
                        const ops::Expression& expression) {
    if (const auto value = expression.as_constant())
      constant = static_cast<std::uint64_t>(*value);  // modulo 2^64; the reader checked the range
    else
      later = expression;
  }

  void value_step(const Line& line, ops::Unit unit, bool plain) {
    const auto expression = reader_.expression(*line.operand, unit, plain, out_.captures);
    if (expression)
      plan_each(line, [&](ops::Step& step) { set_value(step.op.value, step.value, *expression); });
  }

  void set_tsc_khz(const Line& line) {
    const YamlNode& node = *line.operand;
    const bool with_unit = node.is(Kind::scalar) && node.text.find("Hz") != std::string::npos;
    if (!with_unit) return value_step(line, ops::Unit::cycles, true);  // kHz, as the call's name says
    const auto khz = reader_.frequency_khz(node);
    if (khz) plan_each(line, [&](ops::Step& step) { step.op.value = *khz; });
  }

  void set_clock(const Line& line) {
    const YamlNode& node = *line.operand;
    if (!node.is(Kind::mapping)) return value_step(line, ops::Unit::ns, false);
    const Fields fields(diagnostics_, node, "set_clock", {"clock", "realtime", "flags"});
    const YamlNode* clock_node = fields.find("clock");
    if (!clock_node)
      diagnostics_.add(node, "set_clock has no 'clock'", "add 'clock: 0 ns' or a captured clock");
    const YamlNode* realtime_node = fields.find("realtime");
    const auto clock =
        clock_node ? reader_.expression(*clock_node, ops::Unit::ns, false, out_.captures) : std::nullopt;
    const auto realtime = realtime_node
                              ? reader_.expression(*realtime_node, ops::Unit::ns, false, out_.captures)
                              : std::nullopt;
    const auto flags = fields.find("flags") ? clock_flags(*fields.find("flags")) : std::optional(0U);
    if (flags && (*flags & ops::clock_flag::kRealtime) != 0 && !realtime_node)
      diagnostics_.add(*fields.find("flags"), "the flag realtime needs 'realtime'",
                       "add 'realtime: c.realtime'");
    if (!clock || !flags || (realtime_node && !realtime)) return;
    plan_each(line, [&](ops::Step& step) {
      set_value(step.op.value, step.value, *clock);
      if (realtime) set_value(step.op.realtime, step.realtime, *realtime);
      step.op.flags = *flags;
    });
  }

  std::optional<std::uint32_t> clock_flags(const YamlNode& node) {
    if (node.is(Kind::scalar)) {
      const auto bits = reader_.integer(node, 0, std::numeric_limits<std::uint32_t>::max());
      return bits ? std::optional(static_cast<std::uint32_t>(*bits)) : std::nullopt;
    }
    if (!node.is(Kind::sequence)) {
      diagnostics_.add(node, "expected a list of flags, found " + found_text(node),
                       "write 'flags: [realtime]'");
      return std::nullopt;
    }
    std::uint32_t flags = 0;
    for (const YamlNode& item : node.items) {
      const auto name = reader_.word(item, "clock flag", {"tsc_stable", "realtime", "host_tsc"});
      if (!name) return std::nullopt;
      flags |= *name == "tsc_stable" ? ops::clock_flag::kTscStable
               : *name == "realtime" ? ops::clock_flag::kRealtime
                                     : ops::clock_flag::kHostTsc;
    }
    return flags;
  }

  // ---- structures that a VMM gives back ----

  struct Structure {
    const char* whole;     // the key that names a captured one
    const char* value;     // its fields that may be written over
    const char* realtime;
    OpKind from, or_from;  // what captures one
    const char* sources;
  };

  // `set_tsc_state: s`, `{state: s, nsec: s.nsec + 1 s}`, or the fields without a captured one.
  void give_back(const Line& line, const Structure& is, const std::vector<std::string>& constants) {
    const YamlNode& node = *line.operand;
    if (!node.is(Kind::mapping)) {
      if (const auto saved = saved_structure(node, is)) plan_each(line, [&](ops::Step& step) { step.saved = *saved; });
      return;
    }
    std::vector<std::string> keys{is.whole, is.value, is.realtime};
    keys.insert(keys.end(), constants.begin(), constants.end());
    const Fields fields(diagnostics_, node, line.word->text, keys);
    const YamlNode* whole = fields.find(is.whole);
    const auto saved = whole ? saved_structure(*whole, is) : std::optional<std::string>("");
    const auto value = optional_expression(fields.find(is.value), ops::Unit::cycles);
    const auto realtime = optional_expression(fields.find(is.realtime), ops::Unit::ns);
    if (!whole && !(fields.find(is.value) && fields.find(is.realtime)))
      diagnostics_.add(node, std::string(line.word->text) + " has no '" + is.whole + "', or not all of '" + is.value + "' and '" +
                                 is.realtime + "'", "capture one with " + std::string(is.sources));
    for (const std::string& constant : constants)
      if (whole && fields.find(constant))
        diagnostics_.add(*fields.key(constant), "'" + constant + "' comes with '" + is.whole + "'", "write one of the two");
    ops::Operation fixed;
    read_constants(fields, fixed);
    if (!saved) return;
    plan_each(line, [&](ops::Step& step) {
      step.saved = *saved;
      step.op.flags = fixed.flags;
      step.op.tsc_adjust = fixed.tsc_adjust;
      step.op.mul = fixed.mul;
      step.op.shift = fixed.shift;
      // Over a captured field even a constant is written when the step runs.
      if (value && !saved->empty()) step.value = *value;
      else if (value) set_value(step.op.value, step.value, *value);
      if (realtime && !saved->empty()) step.realtime = *realtime;
      else if (realtime) set_value(step.op.realtime, step.realtime, *realtime);
    });
  }

  std::optional<ops::Expression> optional_expression(const YamlNode* node, ops::Unit unit) {
    return node ? reader_.expression(*node, unit, false, out_.captures) : std::nullopt;
  }

  std::optional<std::string> saved_structure(const YamlNode& node, const Structure& is) {
    const auto name = reader_.capture_name(node);
    if (!name) return std::nullopt;
    const Capture* capture = find_capture(out_.captures, *name);
    if (capture && (capture->kind == is.from || capture->kind == is.or_from)) return name;
    diagnostics_.add(node, capture ? "'" + *name + "' is not such a structure" : "nothing is captured as '" + *name + "'",
                     std::string("capture one with ") + is.sources);
    return std::nullopt;
  }

  void read_constants(const Fields& fields, ops::Operation& op) {
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    if (const YamlNode* node = fields.find("tsc_adjust"))
      op.tsc_adjust = static_cast<std::uint64_t>(reader_.integer(*node, -kMax, kMax).value_or(0));
    if (const YamlNode* node = fields.find("flags"))
      op.flags = static_cast<std::uint32_t>(reader_.integer(*node, 0, std::numeric_limits<std::uint32_t>::max()).value_or(0));
    if (const YamlNode* node = fields.find("mul"))
      op.mul = static_cast<std::uint32_t>(reader_.integer(*node, 0, std::numeric_limits<std::uint32_t>::max()).value_or(0));
    if (const YamlNode* node = fields.find("shift"))
      op.shift = static_cast<std::int8_t>(reader_.integer(*node, -128, 127).value_or(0));
  }

  void disable_quirks(const Line& line) {
    if (reader_.word(*line.operand, "quirk", {"tsc_host_access"}))
      plan_each(line, [&](ops::Step& step) { step.op.value = ops::quirk::kTscHostAccess; });
  }

  void create_vcpu(const Line& line) {
    const auto index = reader_.integer(*line.operand, 0, ops::layout::kMaxVcpus - 1);
    if (!index) return;
    if (*index != vcpu_count()) {
      diagnostics_.add(
          *line.operand,
          "the next vCPU is " + std::to_string(vcpu_count()) + ", found " + found_text(*line.operand),
          "vCPUs are created in order: write 'create_vcpu: " + std::to_string(vcpu_count()) + "'");
      return;
    }
    plan_each(line, [&](ops::Step& step) {
      step.op.vcpu = static_cast<std::int32_t>(*index);
      step.op.flags = vcpu_flags();
    });
    if (line.fails.empty()) here().kvmclock_on.push_back(false);
  }

  // The host writes the MSR that says where a page is, with the address that scenarios give it.
  void switch_page(const Line& line) {
    const auto on = reader_.on_off(*line.operand);
    if (!on) return;
    const std::string_view word = line.word->text;
    plan_each(line, [&](ops::Step& step) {
      std::uint64_t address = ops::layout::kHypervPage;
      step.op.msr = ops::msr::kHvReferenceTsc;
      if (word == "steal_time") {
        address = page_of(ops::layout::kStealTimes, step.op.vcpu);
        step.op.msr = ops::msr::kKvmStealTime;
      } else if (word == "kvmclock") {
        address = page_of(ops::layout::kPvclockPages, step.op.vcpu);
        step.op.msr = ops::msr::kKvmSystemTimeNew;
        here().kvmclock_on[static_cast<std::size_t>(step.op.vcpu)] = *on;
      }
      step.op.value = *on ? address | 1 : 0;
    });
  }

  // set_lapic: {timer: tsc_deadline}
  void set_lapic(const Line& line) {
    const Fields fields(diagnostics_, *line.operand, "set_lapic", {"timer"});
    if (!fields.valid()) return;
    const YamlNode* timer = fields.find("timer");
    if (!timer) diagnostics_.add(*line.operand, "set_lapic has no 'timer'", "write 'set_lapic: {timer: tsc_deadline}'");
    std::vector<std::string> names;
    for (std::uint64_t mode = 0; !ops::timer_mode_name(mode).empty(); ++mode) names.emplace_back(ops::timer_mode_name(mode));
    const auto name = timer ? reader_.word(*timer, "timer mode", names) : std::nullopt;
    if (!name) return;
    const auto mode = std::find(names.begin(), names.end(), *name) - names.begin();
    plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(mode); });
  }

  void guest_step(const Line& line) {
    const YamlNode& node = *line.operand;
    switch (line.word->kind) {
      case OpKind::read_clock:
        if (const auto reading = parse_clock_reading(reader_, node))
          plan_each(line, [&](ops::Step& step) { step.op.flags = static_cast<std::uint32_t>(reading->clock); });
        break;
      case OpKind::share_pcpus:
        if (const auto sharing = parse_sharing(reader_, node))
          plan_each(line, [&](ops::Step& step) {
            step.op.value = static_cast<std::uint64_t>(sharing->slice_ns);
            step.op.flags = sharing->others;
          });
        break;
      case OpKind::step_realtime:
        if (const auto ns = reader_.duration_ns(node)) plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*ns); });
        break;
      case OpKind::block_task:
        if (const auto on = reader_.on_off(node)) plan_each(line, [&](ops::Step& step) { step.op.value = *on ? 1 : 0; });
        break;
      default:
        switch_vcpu(line);
        break;
    }
  }

  // `online_vcpu: 1`, `online_vcpu: {vcpu: 1, moves_to: 2}`: its thread goes to another pCPU during the test of its TSC.
  void switch_vcpu(const Line& line) {
    const bool mapping = line.operand->is(Kind::mapping) && line.word->kind == OpKind::online_vcpu;
    YamlNode nothing;
    nothing.kind = Kind::mapping;
    const Fields fields(diagnostics_, mapping ? *line.operand : nothing, line.word->text, {"vcpu", "moves_to"});
    const YamlNode* which = mapping ? fields.find("vcpu") : line.operand;
    if (!which) {
      diagnostics_.add(*line.operand, "online_vcpu has no 'vcpu'", "write 'online_vcpu: 1'");
      return;
    }
    std::vector<std::int32_t> vcpu;
    const YamlNode* moves_to = fields.find("moves_to");
    const auto pcpu = moves_to ? pcpu_of_host(*moves_to) : std::optional<std::int64_t>(ops::kAllPcpus);
    if (!read_one_vcpu(*which, vcpu) || !pcpu) return;
    plan_each(line, [&](ops::Step& step) {
      step.op.vcpu = vcpu.front();
      step.op.pcpu = static_cast<std::int32_t>(*pcpu);
    });
  }

  void delay(const Line& line) {
    const auto ns = reader_.instant_ns(*line.operand);
    if (ns) plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*ns); });
  }

  void enter_l2(const Line& line) {
    const Fields fields(diagnostics_, *line.operand, "enter_l2", {"offset", "multiplier", "entry"});
    if (!fields.valid()) return;
    const auto read = [&](const char* key, bool plain) {
      const YamlNode* node = fields.find(key);
      const auto given = node ? reader_.expression(*node, ops::Unit::cycles, plain, out_.captures) : std::nullopt;
      return given.value_or(ops::Expression::constant(0));
    };
    const ops::Expression offset = read("offset", false), multiplier = read("multiplier", true);
    const YamlNode* entry_node = fields.find("entry");
    const auto entry = entry_node ? reader_.word(*entry_node, "entry", {"succeeds", "fails"})
                                  : std::optional<std::string>("succeeds");
    if (!entry) return;
    plan_each(line, [&](ops::Step& step) {
      set_value(step.op.value, step.value, offset);
      set_value(step.op.realtime, step.realtime, multiplier);
      step.op.flags = *entry == "fails" ? ops::nested_flag::kFails : 0;
    });
  }

  std::optional<std::int64_t> pcpu_of_host(const YamlNode& node) {
    const auto pcpu = reader_.integer(node, 0, ops::layout::kMaxVcpus - 1);
    const auto pcpus = static_cast<std::int64_t>(hosts_[static_cast<std::size_t>(host_)].pcpus.size());
    if (!pcpu || *pcpu < pcpus) return pcpu;
    diagnostics_.add(node, "the host has no pCPU " + std::to_string(*pcpu),
                     "it has " + std::to_string(pcpus) + "; write more with 'host: {pcpus: ...}'");
    return std::nullopt;
  }

  void move_vcpu(const Line& line) {
    const auto pcpu = pcpu_of_host(*line.operand);
    if (pcpu) plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*pcpu); });
  }

  // Linux does not take the boot CPU offline (since 6.5 never).
  void hotplug(const Line& line) {
    const auto pcpu = pcpu_of_host(*line.operand);
    if (!pcpu) return;
    if (*pcpu == 0) {
      diagnostics_.add(*line.operand, "pCPU 0 stays online", "name another pCPU");
      return;
    }
    plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*pcpu); });
  }

  void jump_host_tsc(const Line& line) {
    const YamlNode& node = *line.operand;
    if (!node.is(Kind::mapping)) return value_step(line, ops::Unit::cycles, false);
    const Fields fields(diagnostics_, node, "jump_host_tsc", {"by", "pcpu"});
    const YamlNode* by_node = fields.find("by");
    if (!by_node) diagnostics_.add(node, "jump_host_tsc has no 'by'", "add 'by: -1 s'");
    const auto by = by_node ? reader_.expression(*by_node, ops::Unit::cycles, false, out_.captures) : std::nullopt;
    const YamlNode* pcpu_node = fields.find("pcpu");
    const auto pcpu = pcpu_node ? pcpu_of_host(*pcpu_node) : std::optional<std::int64_t>(ops::kAllPcpus);
    if (!by || !pcpu) return;
    plan_each(line, [&](ops::Step& step) {
      set_value(step.op.value, step.value, *by);
      step.op.pcpu = static_cast<std::int32_t>(*pcpu);
    });
  }

  void suspend_host(const Line& line) {
    const Fields fields(diagnostics_, *line.operand, "suspend_host", {"for", "tsc"});
    if (!fields.valid()) return;
    std::int64_t for_ns = 0;
    if (!positive_duration("suspend_host", *line.operand, fields, "for", "10 s", for_ns)) return;
    const YamlNode* tsc_node = fields.find("tsc");
    const auto tsc = tsc_node ? reader_.word(*tsc_node, "TSC", {"continues", "restarts"})
                              : std::optional<std::string>("continues");
    if (!tsc) return;
    plan_each(line, [&](ops::Step& step) {
      step.op.value = static_cast<std::uint64_t>(for_ns);
      step.op.flags = *tsc == "restarts" ? ops::suspend_flag::kTscRestarts : 0;
    });
  }

  void set_clocksource(const Line& line) {
    const auto name = reader_.word(*line.operand, "clocksource", {"tsc", "hpet", "acpi_pm"});
    if (name) plan_each(line, [&](ops::Step& step) { step.op.value = *name == "tsc" ? 1 : 0; });
  }

  // ---- sample ----

  struct SampleSpec {
    std::int64_t every_ns = 0;
    std::int64_t for_ns = 0;
    bool tsc = true;
    bool pvclock = true;
    std::vector<ops::GuestClock> clocks;
  };

  void sample(const Line& line) {
    const auto spec = read_sample(line);
    if (!spec) return;
    const std::int64_t readings = 1 + (spec->for_ns - 1) / spec->every_ns;
    const auto most = static_cast<std::int64_t>(kMaxSteps);
    if (readings > most || readings * static_cast<std::int64_t>(2 * line.vcpus.size()) > 2 * most ||
        spec->for_ns > std::numeric_limits<std::int64_t>::max() - line.at_ns) {
      diagnostics_.add(*line.operand,
                       "this sample expands into more than " + grouped(kMaxSteps) + " operations",
                       "sample less often or for a shorter time");
      return;
    }
    for (std::int64_t i = 0; i < readings; ++i) sample_once(line, *spec, line.at_ns + i * spec->every_ns);
  }

  void sample_once(const Line& line, const SampleSpec& spec, std::int64_t at_ns) {
    for (const std::int32_t vcpu : line.vcpus)
      if (spec.tsc) plan(line, OpKind::rdtsc, vcpu, at_ns);
    for (const std::int32_t vcpu : line.vcpus)
      if (spec.pvclock && here().kvmclock_on[static_cast<std::size_t>(vcpu)])
        plan(line, OpKind::read_pvclock, vcpu, at_ns);
    for (const ops::GuestClock clock : spec.clocks)
      for (const std::int32_t vcpu : line.vcpus) plan(line, OpKind::read_clock, vcpu, at_ns).op.flags = static_cast<std::uint32_t>(clock);
  }

  std::optional<SampleSpec> read_sample(const Line& line) {
    const Fields fields(diagnostics_, *line.operand, "sample", {"every", "for", "read"});
    if (!fields.valid()) return std::nullopt;
    SampleSpec spec;
    const bool every = positive_duration("sample", *line.operand, fields, "every", "1 ms", spec.every_ns);
    const bool length = positive_duration("sample", *line.operand, fields, "for", "10 ms", spec.for_ns);
    const bool kinds = !fields.find("read") || sample_kinds(line, *fields.find("read"), spec);
    return every && length && kinds ? std::optional(spec) : std::nullopt;
  }

  bool positive_duration(const std::string& owner, const YamlNode& node, const Fields& fields,
                         const std::string& key, const std::string& example, std::int64_t& out) {
    const YamlNode* value = fields.find(key);
    if (!value) {
      diagnostics_.add(node, owner + " has no '" + key + "'", "add '" + key + ": " + example + "'");
      return false;
    }
    const auto ns = reader_.duration_ns(*value);
    if (!ns) return false;
    out = *ns;
    if (*ns > 0) return true;
    diagnostics_.add(*value, found_text(*value) + " is not above 0", "write such as '" + example + "'");
    return false;
  }

  bool sample_kinds(const Line& line, const YamlNode& node, SampleSpec& spec) {
    spec.tsc = spec.pvclock = false;
    if (!node.is(Kind::sequence) || node.items.empty()) {
      diagnostics_.add(node, "expected a list of what to read, found " + found_text(node),
                       "write 'read: [rdtsc, pvclock]'");
      return false;
    }
    for (const YamlNode& item : node.items) {
      std::vector<std::string> words{"rdtsc", "pvclock"};
      if (vm_.guest)
        for (std::string& clock : guest_clock_names()) words.push_back(std::move(clock));
      const auto name = reader_.word(item, "reading", words);
      if (!name) return false;
      if (const auto clock = ops::guest_clock_from(*name)) {
        spec.clocks.push_back(*clock);
        continue;
      }
      (*name == "rdtsc" ? spec.tsc : spec.pvclock) = true;
      const bool possible =
          *name == "rdtsc" || std::any_of(line.vcpus.begin(), line.vcpus.end(), [&](auto vcpu) {
            return here().kvmclock_on[static_cast<std::size_t>(vcpu)];
          });
      if (possible) continue;
      diagnostics_.add(item, "no vCPU of this sample has kvmclock on",
                       "switch it on with 'vm: {kvmclock: on}' or a step 'kvmclock: on'");
      return false;
    }
    return true;
  }

  // ---- transfer ----

  // The guest stops on one host and goes on on the other: a VM with as many vCPUs is there, or is created, and gets
  // the memory. All else is the VMM's to save and restore, and so are steps of their own.
  void transfer(const Line& line) {
    const Fields fields(diagnostics_, *line.operand, "transfer", {"from", "to"});
    if (!fields.valid()) return;
    for (const char* word : {"from", "to"})
      if (!fields.find(word))
        diagnostics_.add(*line.operand, std::string("transfer has no '") + word + "'", "write 'transfer: {from: a, to: b}'");
    const auto from = fields.find("from") ? host_from(*fields.find("from")) : std::nullopt;
    const auto to = fields.find("to") ? host_from(*fields.find("to")) : std::nullopt;
    if (!from || !to) return;
    if (*from == *to)
      diagnostics_.add(*fields.find("to"), "the guest is on host " + name_of(*to) + " already", "name another host");
    else if (!vm_of(*from).exists)
      diagnostics_.add(*fields.find("from"), "there is no VM on host " + name_of(*from), "name the host where the guest is");
    else
      plan_transfer(line, *from, *to);
  }

  void plan_transfer(const Line& line, std::int32_t from, std::int32_t to) {
    host_ = from;
    plan(line, OpKind::save_memory, ops::kVm, line.at_ns);
    host_ = to;
    if (!here().exists) plan(line, OpKind::create_vm, ops::kVm, line.at_ns).op.flags = vm_flags();
    here().exists = true;
    for (std::int32_t vcpu = vcpu_count(); vcpu < vm_of(from).vcpus(); ++vcpu) {
      plan(line, OpKind::create_vcpu, vcpu, line.at_ns).op.flags = vcpu_flags();
      here().kvmclock_on.push_back(false);
    }
    plan(line, OpKind::load_memory, ops::kVm, line.at_ns).op.value = static_cast<std::uint64_t>(from);
    out_.stays.push_back({line.at_ns, to});
  }

  // ---- the end ----

  void finish() {
    for (const HostVm& vm : vms_) out_.vcpus = std::max(out_.vcpus, vm.vcpus());
    std::stable_sort(planned_.begin(), planned_.end(),
                     [](const Planned& a, const Planned& b) { return a.step.op.at_ns < b.step.op.at_ns; });
    for (Planned& planned : planned_) {
      for (const Refusal& refused : planned.fails) out_.refusals.push_back(refusal(planned, refused));
      out_.steps.push_back(std::move(planned.step));
    }
  }

  Expectation refusal(const Planned& planned, const Refusal& refused) const {
    Expectation expectation;
    expectation.subject = Subject::step_error;
    expectation.place = planned.step.place;
    expectation.error = refused.error;
    expectation.kernels = refused.kernels;
    expectation.step = out_.steps.size();
    const ops::Operation& op = planned.step.op;
    expectation.text = std::string(ops::name_of(op.kind)) +
                       (op.vcpu == ops::kVm ? "" : " on vCPU " + std::to_string(op.vcpu)) + " fails with " +
                       errno_name(refused.error);
    return expectation;
  }

  Reader& reader_;
  Diagnostics& diagnostics_;
  const std::vector<ops::HostSpec>& hosts_;
  const VmSpec& vm_;
  const std::vector<std::string>& kernels_;
  std::vector<HostVm> vms_;  // of each host
  std::int32_t host_ = 0;    // that the line acts on
  Timeline out_;
  std::vector<Planned> planned_;
  std::optional<Capture> pending_capture_;
  std::int64_t last_at_ns_ = 0;
  ops::Place last_at_place_;
};

}  // namespace

Timeline parse_timeline(Reader& reader, const YamlNode* node, const std::vector<ops::HostSpec>& hosts,
                        const VmSpec& vm, const ops::Place& vm_place, const std::vector<std::string>& kernels) {
  return TimelineParser(reader, hosts, vm, kernels).parse(node, vm_place);
}

}  // namespace tscsim::scenarios
