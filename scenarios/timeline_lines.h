// How a timeline is read, line by line; for the files timeline_*.cpp alone. Others include timeline_parser.h.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "scenarios/procedure_library.h"
#include "scenarios/procedure_scope.h"
#include "scenarios/timeline_parser.h"
#include "scenarios/timeline_words.h"

namespace tscsim::scenarios {

class TimelineParser {
 public:
  TimelineParser(Reader& reader, const std::vector<ops::HostSpec>& hosts, const VmSpec& vm,
                 const std::vector<std::string>& kernels, ProcedureLibrary& procedures)
      : reader_(&reader), hosts_(hosts), vm_(vm), kernels_(kernels), procedures_(procedures), vms_(hosts.size()) {
    for (const ops::HostSpec& host : hosts) out_.hosts.push_back(host.name);
  }

  Timeline parse(const YamlNode* node, const ops::Place& vm_place);

 private:
  using OpKind = ops::OpKind;

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
    bool by_main_thread = false;      // of the VMM
    std::vector<std::int32_t> vcpus;  // kVm alone for operations on the VM
    std::string capture;
    std::vector<Refusal> fails;
    std::vector<int> may_fail;  // errors that the VMM passes over

    // A line whose vCPUs are at fault has none; what it captures is known all the same, so that nobody misses it below.
    std::int32_t first_vcpu() const { return vcpus.empty() ? ops::kVm : vcpus.front(); }
    bool always_fails() const { return fails.size() == 1 && fails.front().kernels.from.empty(); }
  };
  struct Planned {
    ops::Step step;
    std::vector<Refusal> fails;
    std::vector<int> may_fail;
  };
  // The VM of one host while the lines are read.
  struct KnownVcpu {
    bool kvmclock_on = false;
    std::uint32_t khz = 0;  // 0: not known before the run
  };
  struct HostVm {
    bool exists = false;
    std::uint32_t khz = 0;  // of vCPUs to come
    std::vector<KnownVcpu> vcpu;
    std::int64_t awake_from_ns = 0;  // its host slept until then
    std::int32_t vcpus() const { return static_cast<std::int32_t>(vcpu.size()); }
  };
  // A structure that a VMM gives back as it got it.
  struct Structure {
    const char* whole;  // the key that names a captured one
    const char* value;  // its fields that may be written over
    const char* realtime;
    OpKind from, or_from;  // what captures one
    const char* sources;
  };
  struct SampleSpec {
    std::int64_t every_ns = 0;
    std::int64_t for_ns = 0;
    bool tsc = true;
    bool pvclock = true;
    std::vector<ops::GuestClock> clocks;
  };

  Reader& reader() { return *reader_; }
  Diagnostics& diagnostics() { return reader_->diagnostics(); }
  const std::vector<Capture>& visible() const { return scope_ ? scope_visible_ : out_.captures; }  // to expressions

  // ---- timeline_parser.cpp: the list, and what becomes of it ----
  void set_up(const YamlNode* timeline, const ops::Place& place);
  ops::Operation& setup_step(OpKind kind, std::int32_t vcpu, const ops::Place& place);
  void set_up_rate(const ops::Place& place);
  std::uint32_t vm_flags() const { return vm_.irqchip ? ops::vm_flag::kIrqchip : 0; }
  std::uint32_t vcpu_flags() const { return vm_.hyperv ? ops::vcpu_flag::kHyperv : 0; }
  void parse_steps(const YamlNode& node);
  void parse_step(const YamlNode& node);
  void parse_line(Line& line, bool good);
  ops::Step& plan(const Line& line, OpKind kind, std::int32_t vcpu, std::int64_t at_ns);
  void finish();
  Expectation refusal(const Planned& planned, const Refusal& refused) const;

  // ---- timeline_line.cpp: what every line has ----
  bool read_word(Line& line);
  bool read_instant(Line& line);
  std::vector<std::int32_t> all_vcpus() const;
  bool read_one_vcpu(const YamlNode& node, std::vector<std::int32_t>& out);
  bool read_vcpus(Line& line);
  bool read_vcpu_list(const YamlNode& node, std::vector<std::int32_t>& out);
  bool read_gap(Line& line);
  bool read_thread(Line& line);
  bool read_fails(Line& line);
  bool read_fails_by_kernel(Line& line, const YamlNode& node);
  bool read_may_fail(Line& line);
  const YamlNode* capture_node(const Line& line);
  bool read_capture(Line& line);
  bool may_capture(const Line& line, const YamlNode& node);
  static std::uint32_t capture_msr(const Line& line);

  // ---- timeline_hosts.cpp: hosts, VMs and vCPUs that come to be ----
  HostVm& vm_of(std::int32_t host) {
    CHECK(static_cast<std::size_t>(host) < vms_.size());
    return vms_[static_cast<std::size_t>(host)];
  }
  HostVm& here() { return vm_of(host_); }
  const HostVm& here() const { return vms_[static_cast<std::size_t>(host_)]; }
  KnownVcpu& known(std::int32_t vcpu) {
    CHECK(static_cast<std::size_t>(vcpu) < here().vcpu.size());
    return here().vcpu[static_cast<std::size_t>(vcpu)];
  }
  void forget_vm();
  void add_vcpu() { here().vcpu.push_back({false, here().khz}); }
  std::int32_t vcpu_count() const { return here().vcpus(); }
  std::string name_of(std::int32_t host) const { return "'" + out_.hosts[static_cast<std::size_t>(host)] + "'"; }
  std::optional<std::int32_t> host_from(const YamlNode& node);
  bool read_host(const Line& line);
  bool check_vm(const Line& line);
  void create_vcpu(const Line& line);
  std::optional<std::int64_t> pcpu_of_host(const YamlNode& node);
  void move_vcpu(const Line& line);
  void hotplug(const Line& line);
  void jump_host_tsc(const Line& line);
  void suspend_host(const Line& line);
  bool sleep_until(const Line& line, const YamlNode& node, std::int64_t for_ns);
  void set_clocksource(const Line& line);
  void transfer(const Line& line);
  void plan_transfer(const Line& line, std::int32_t from, std::int32_t to);
  void load_memory(const Line& line);

  // ---- timeline_operands.cpp: what stands after the word ----
  void read_operand(const Line& line);
  // One step for each vCPU of the line; `fill` completes it.
  template <class Fill>
  void plan_each(const Line& line, Fill fill) {
    std::int64_t at_ns = line.at_ns;
    for (const std::int32_t vcpu : line.vcpus) {
      ops::Step& step = plan(line, line.word->kind, vcpu, at_ns);
      step.capture = line.capture;
      planned_.back().fails = line.fails;
      planned_.back().may_fail = line.may_fail;
      fill(step);
      if (line.by_main_thread) step.op.flags |= ops::thread_flag::kMainThread;
      localise(step);
      at_ns = vcpu == line.vcpus.back() ? at_ns : at_ns + line.gap_ns;
    }
  }
  static void set_value(std::uint64_t& constant, std::optional<ops::Expression>& later,
                        const ops::Expression& expression);
  void no_operand(const Line& line);
  void reading(const Line& line);
  void wall_clock(const Line& line);
  std::optional<std::uint32_t> msr_index(const YamlNode& node);
  void msr_read(const Line& line);
  void msr_write(const Line& line);
  bool enables_kvmclock(const ops::Step& write) const;
  void value_step(const Line& line, ops::Unit unit, bool plain);
  void set_tsc_khz(const Line& line);
  std::uint32_t khz_before_the_run(const ops::Expression& expression, std::int32_t vcpu) const;
  bool only_where_rates_say_so(Line& line, const std::function<std::uint32_t(std::int32_t)>& wanted);
  void set_clock(const Line& line);
  std::optional<std::uint32_t> clock_flags(const YamlNode& node);
  void give_back(const Line& line, const Structure& is, const std::vector<std::string>& constants);
  std::optional<ops::Expression> optional_expression(const YamlNode* node, ops::Unit unit);
  std::optional<std::string> saved_structure(const YamlNode& node, const Structure& is);
  void read_constants(const Fields& fields, ops::Operation& op);
  void disable_quirks(const Line& line);
  void switch_page(const Line& line);
  void set_lapic(const Line& line);

  // timeline_guest.cpp
  void guest_step(const Line& line);
  void switch_vcpu(const Line& line);
  void pause_vm(const Line& line);
  void delay(const Line& line);
  void enter_l2(const Line& line);

  // ---- timeline_sample.cpp ----
  void sample(const Line& line);
  void sample_once(const Line& line, const SampleSpec& spec, std::int64_t at_ns);
  std::optional<SampleSpec> read_sample(const Line& line);
  bool positive_duration(const std::string& owner, const YamlNode& node, const Fields& fields, const std::string& key,
                         const std::string& example, std::int64_t& out);
  bool sample_kinds(const Line& line, const YamlNode& node, SampleSpec& spec);

  // ---- procedure_use.cpp: lines that use a procedure ----
  void use_procedure(const Line& line);
  const Procedure* find_procedure(const Line& line, const Fields& fields);
  bool read_arguments(const Line& line, const Fields& fields, ProcedureScope& scope);
  bool read_roles(const Line& line, const Fields& fields, ProcedureScope& scope);
  bool read_prefix(const Line& line, const Fields& fields, std::string& prefix);
  const PastUse* past_use(const YamlNode& node, const Procedure& procedure);
  void expand(ProcedureScope& scope);
  void expand_step(const YamlNode& node);
  bool read_instant_of_procedure(Line& line);
  void expand_turns(const YamlNode& each, const Line& group);
  void expand_turn(const YamlNode& node, std::int64_t turn_ns);
  void check_arrival(const ProcedureScope& scope);
  void enable_kvmclock(const Line& line, std::int64_t at_ns);
  void finish_use(const Line& line, const ProcedureScope& scope);
  ops::Operation& plan_for_guest(OpKind kind, std::int64_t at_ns, const ProcedureScope& scope);
  void stop_guest(const ProcedureScope& scope);
  void let_guest_go(std::int64_t at_ns, const ProcedureScope& scope);
  void note_pause(const Line& line);
  bool read_vcpus_of_procedure(Line& line);
  void create_vcpus_of_procedure(const Line& line);
  bool keep_local_capture(Line& line, const YamlNode& node, const std::string& name);
  void localise(ops::Step& step);
  std::string actual(const std::string& name, std::int32_t vcpu) const;

  Reader* reader_;  // of the scenario, or of the procedure that is written out
  const std::vector<ops::HostSpec>& hosts_;
  const VmSpec& vm_;
  const std::vector<std::string>& kernels_;
  ProcedureLibrary& procedures_;
  ProcedureScope* scope_ = nullptr;     // the use that is written out
  std::vector<Capture> scope_visible_;  // to the expressions of its present step
  std::vector<PastUse> past_;
  std::map<std::string, int> uses_;                  // of each kind, so far
  std::map<std::string, bool> kvmclock_of_capture_;  // MSR_KVM_SYSTEM_TIME, captured: does it enable?
  std::map<std::string, std::uint32_t> khz_of_capture_;
  std::string busy_with_;                            // the procedure that the line above uses, if it uses one
  std::int64_t free_from_ns_ = 0;                    // the last step of a procedure so far
  bool guest_paused_ = false;                        // by a step of the timeline or of a procedure file
  std::optional<std::int64_t> guest_stopped_at_ns_;  // by the use that is written out
  std::vector<HostVm> vms_;                          // of each host
  std::int32_t host_ = 0;                            // that the line acts on
  Timeline out_;
  std::vector<Planned> planned_;
  std::optional<Capture> pending_capture_;
  std::int64_t last_at_ns_ = 0;
  ops::Place last_at_place_;
};

// Where the page of one vCPU lies.
inline std::uint64_t page_of(std::uint64_t pages, std::int32_t vcpu) {
  return pages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride;
}

}  // namespace tscsim::scenarios
