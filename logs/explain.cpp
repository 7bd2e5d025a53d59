#include "logs/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "base/interrupt.h"
#include "logs/explain_calls.h"
#include "logs/explain_text.h"
#include "logs/import.h"
#include "logs/page_step.h"

namespace tscsim::logs {
namespace {

using ops::TraceEvent;
using ops::TraceKind;

constexpr std::uint64_t kTscClock = 1, kHypervClock = 3;  // enum vdso_clock_mode; the latter since 4.16
constexpr std::uint64_t kStableFlag = 1;
// Two readings one after the other may lie this far apart on a quiet host; a greater step is worth a line.
constexpr std::int64_t kUnremarkable_ns = 1000;

constexpr std::string_view kMatchingRule =
    "the master clock needs every online vCPU in the current generation: nr_vcpus_matched_tsc + 1 == online_vcpus; a write that "
    "does not match starts a generation anew (Linux arch/x86/kvm/x86.c, pvclock_update_vm_gtod_copy())";
constexpr std::string_view kMatchingCure =
    "write the TSC, or one common offset, of all vCPUs after the last of them was created, each within a second of the one before";
constexpr std::string_view kHostClockRule =
    "the master clock needs a host clocksource that is the TSC (Linux arch/x86/kvm/x86.c, kvm_get_time_and_clockread())";
constexpr std::string_view kHostClockCure =
    "on the host: dmesg | grep -i tsc tells why the kernel left its TSC; back on it, the master clock returns at the next TSC write "
    "or KVM_SET_CLOCK, not by itself";
constexpr std::string_view kBackwardsRule =
    "once the host's TSC was behind what a vCPU had seen (S3, CPU hot-plug), every VM of that time does without a master clock "
    "(Linux arch/x86/kvm/x86.c, backwards_tsc_observed)";
constexpr std::string_view kBackwardsCure = "only a new VM has a master clock again: start it anew, or migrate it";
constexpr std::string_view kOldKvmclockRule =
    "a guest whose boot vCPU uses MSR_KVM_SYSTEM_TIME (0x12) rather than 0x4b564d01 gets no master clock (Linux "
    "arch/x86/kvm/x86.c, boot_vcpu_runs_old_kvmclock)";
constexpr std::string_view kOldKvmclockCure =
    "offer KVM_FEATURE_CLOCKSOURCE2 in the guest's CPUID, and boot a guest kernel that knows it";

bool is_tsc(std::uint64_t host_clock) { return host_clock == kTscClock || host_clock == kHypervClock; }

struct Step {
  std::size_t entry = 0;
  const TraceEvent* event = nullptr;  // none: a gap
};

struct Vcpu {
  std::optional<std::uint64_t> offset;
  std::optional<std::uint64_t> offset_before;  // the last write
  std::optional<std::uint64_t> generation;
  std::optional<std::size_t> written_at;
  std::optional<ClockPage> page;  // none, too, after a gap
  std::uint64_t moved_since_page = 0;
  VcpuSummary summary;
};

// A vCPU's offset went from one value to another.
struct Move {
  std::size_t entry = 0;
  int vcpu = 0;
  std::int64_t cycles = 0;
  bool synchronised = false;  // a host's write: kvm_track_tsc follows
  bool host_is_tsc = true;
  bool had_run = false;
};

class Story {
 public:
  Story(const ops::Recording& recording, int host) : recording_(recording) {
    for (std::size_t i = 0; i < recording.entries.size(); ++i) {
      const ops::Entry& entry = recording.entries[i];
      if (entry.op.host != host) continue;
      const bool gap = entry.op.kind == ops::OpKind::observed && entry.call.empty() && entry.traced.empty();
      if (gap) steps_.push_back({i, nullptr});
      for (const TraceEvent& event : entry.traced) steps_.push_back({i, &event});
    }
  }

  Explanation tell() {
    for (at_ = 0; at_ < steps_.size(); ++at_) {
      base::throw_if_interrupted();
      if (steps_[at_].event == nullptr) pass_gap();
      else take(*steps_[at_].event);
    }
    conclude();
    return std::move(told_);
  }

 private:
  std::size_t entry() const { return steps_[at_].entry; }
  std::string when(std::size_t of) const { return moment_text(recording_, of); }

  void take(const TraceEvent& event) {
    switch (event.kind) {
      case TraceKind::write_tsc_offset:
        return take_write(event);
      case TraceKind::track_tsc:
        return take_track(event);
      case TraceKind::update_master_clock:
        return take_update(event);
      case TraceKind::pvclock_update:
        return take_page(event);
    }
  }

  // What happened is not known: offsets, generations and pages may have changed.
  void pass_gap() {
    ++told_.gaps;
    whole_ = false;
    known_master_ = false;
    for (auto& [unused, vcpu] : vcpus_) {
      vcpu.offset.reset();
      vcpu.offset_before.reset();
      vcpu.generation.reset();
      vcpu.page.reset();
    }
  }

  // ---- looking ahead ----

  // The next event about the vCPU, unless a gap comes first.
  const TraceEvent* next_of(int vcpu) const {
    for (std::size_t i = at_ + 1; i < steps_.size() && steps_[i].event != nullptr; ++i)
      if (steps_[i].event->vcpu == vcpu) return steps_[i].event;
    return nullptr;
  }

  static std::optional<std::uint64_t> host_clock_of(const TraceEvent& event) {
    if (event.kind == TraceKind::track_tsc) return event.values[3];
    if (event.kind == TraceKind::update_master_clock) return event.values[1];
    return std::nullopt;
  }

  // As the next event tells, or the last one did.
  bool host_is_tsc_here() const {
    for (std::size_t i = at_ + 1; i < steps_.size() && steps_[i].event != nullptr; ++i)
      if (const auto clock = host_clock_of(*steps_[i].event)) return is_tsc(*clock);
    return is_tsc(host_clock_);
  }

  // ---- offsets ----

  void take_write(const TraceEvent& event) {
    const auto [previous, next] = std::pair(event.values[0], event.values[1]);
    const TraceEvent* following = next_of(event.vcpu);
    const bool synchronised = following != nullptr && following->kind == TraceKind::track_tsc;
    const bool known = vcpus_.count(event.vcpu) != 0;
    Vcpu& vcpu = of(event.vcpu);
    const bool creates = !known && synchronised && previous == 0 && following->values[1] > online_;
    if (creates) note_creation(event.vcpu);
    check_honoured(vcpu, event);
    if (!creates && honoured_ && next != previous) {
      const Move move{entry(),      event.vcpu,         static_cast<std::int64_t>(next - previous),
                      synchronised, host_is_tsc_here(), vcpu.summary.pages != 0};
      moves_.push_back(move);
      if (moves_guest_tsc(move)) vcpu.moved_since_page += next - previous;
    }
    if (!creates && synchronised && first_host_write_ == kNone) first_host_write_ = entry();
    vcpu.offset_before = vcpu.offset ? vcpu.offset : std::optional(previous);
    vcpu.offset = next;
    vcpu.written_at = entry();
  }

  bool is_backwards(const Move& move) const {
    return backwards_ && !move.synchronised && move.cycles == backwards_->cycles;
  }

  // Where KVM changes an offset because the host's counter changed, the guest's TSC goes on.
  bool moves_guest_tsc(const Move& move) const {
    return move.synchronised || (move.host_is_tsc && !is_backwards(move));
  }

  void note_creation(int vcpu) {
    const bool first = online_ == 0 && vcpus_.size() == 1;
    if (first && told_.gaps == 0) told_.from_creation = whole_ = true;
    const bool ran =
        std::any_of(vcpus_.begin(), vcpus_.end(), [](const auto& v) { return v.second.summary.pages != 0; });
    if (first || first_host_write_ == kNone || ran || interleaved_) return;
    interleaved_ = Finding{
        .id = "interleaved-create",
        .entry = entry(),
        .vcpus = {vcpu},
        .text = fmt::format("vCPU {} was created {} after the TSC of another had been written {}", vcpu, when(entry()),
                            when(first_host_write_)),
        .rule =
            "a new vCPU joins by a write of 0, after which the next value is compared with a clock that began at 0 (Linux "
            "arch/x86/kvm/x86.c, kvm_synchronize_tsc())",
        .cure = "create all vCPUs first, then write their TSCs"};
  }

  // The order does harm only where the vCPUs are apart when the first of them runs: a later write may have brought them into
  // one generation.
  void judge_interleaved() {
    if (interleaved_ && !told_interleaved_ && !all_match()) add(*interleaved_);
    told_interleaved_ = told_interleaved_ || interleaved_;
  }

  // A KVM without offsets (PVM) traces what it was given and keeps what it had.
  void check_honoured(Vcpu& vcpu, const TraceEvent& event) {
    if (!honoured_ || !vcpu.offset || event.values[0] == *vcpu.offset || event.values[0] != vcpu.offset_before) return;
    honoured_ = false;
    moves_.clear();
    for (auto& [unused, other] : vcpus_) other.moved_since_page = 0;
    add({.id = "ignored-write",
         .entry = entry(),
         .vcpus = {event.vcpu},
         .text = fmt::format("vCPU {}'s offset was set to {} {}, and is still {} at the next write, {}", event.vcpu,
                             signed_text(*vcpu.offset), when(*vcpu.written_at), signed_text(event.values[0]),
                             when(entry())),
         .rule = "this KVM accepts TSC offsets and does not apply them (PVM, some nested hosts)",
         .cure = "do not rely on TSC writes or offsets there: kvmclock is what remains"});
  }

  // ---- generations ----

  void take_track(const TraceEvent& event) {
    const std::uint64_t matched = event.values[0];
    online_ = event.values[1];
    master_was(event.values[2] != 0);
    host_clock_ = event.values[3];
    Vcpu& vcpu = of(event.vcpu);
    const bool founder_again =
        matched == 0 && matched_ == std::uint64_t{0} && founder_ == event.vcpu && vcpu.offset == generation_offset_;
    if (matched == 0 && !founder_again) {
      ++generation_;
      founder_ = event.vcpu;
      generation_offset_ = vcpu.offset;
      generation_since_ = vcpu.written_at.value_or(entry());
    }
    vcpu.generation = generation_;
    matched_ = matched;
    joined_at_ = entry();
    if (all_match())
      for (auto& [unused, other] : vcpus_) other.generation = generation_;
    after_last_track_ = true;
  }

  bool all_match() const { return matched_ && *matched_ + 1 == online_; }

  std::vector<int> outside() const {
    std::vector<int> out;
    for (const auto& [index, vcpu] : vcpus_)
      if (vcpu.generation && *vcpu.generation != generation_) out.push_back(index);
    return out;
  }

  std::string generation_text() const {
    return told_.from_creation && whole_ ? fmt::format("generation {}", generation_) : "the current generation";
  }

  // "1 of 2 vCPUs is in generation 3, which vCPU 0 started at ... with an offset of its own; vCPU 1 keeps ..."
  std::string mismatch_text() const {
    if (!matched_) return "not all vCPUs are in the current generation; the log does not show which";
    std::string text = fmt::format("{} of {} vCPUs {} in {}", *matched_ + 1, online_, *matched_ == 0 ? "is" : "are",
                                   generation_text());
    if (generation_since_ != kNone)
      text += fmt::format(", which vCPU {} started {} with an offset of its own", founder_, when(generation_since_));
    for (const int index : outside())
      if (const auto apart = apart_from_generation(index))
        text += fmt::format("; vCPU {} is not in it, its offset differs by {}", index, cycles_text(*apart, khz()));
    return text;
  }

  std::optional<std::int64_t> apart_from_generation(int index) const {
    const auto found = vcpus_.find(index);
    if (found == vcpus_.end() || !found->second.offset || !generation_offset_) return std::nullopt;
    return static_cast<std::int64_t>(*found->second.offset - *generation_offset_);
  }

  // ---- the master clock ----

  void enter_phase(MasterClockPhase phase) {
    const bool same = !told_.master_clock.empty() && told_.master_clock.back().on == phase.on &&
                      (phase.on || told_.master_clock.back().cause == phase.cause);
    known_master_ = true;
    if (same) {
      if (!phase.since_before) told_.master_clock.back().why = phase.why;
      return;
    }
    told_.master_clock.push_back(std::move(phase));
  }

  // kvm_track_tsc and a page's flag tell how it was before.
  void master_was(bool on) {
    const bool agrees = !told_.master_clock.empty() && told_.master_clock.back().on == on;
    if (agrees || (known_master_ && !told_.master_clock.empty())) {
      known_master_ = true;
      return;
    }
    if (on)
      return enter_phase(
          {.on = true, .since = entry(), .since_before = true, .why = "it was on before the first event that tells"});
    enter_phase(
        {.on = false,
         .cause = told_.from_creation ? OffCause::no_vcpu : OffCause::unknown,
         .since = entry(),
         .since_before = true,
         .why = told_.from_creation ? "the VM was just created" : "it was off before the first event that tells"});
  }

  void take_update(const TraceEvent& event) {
    const bool on = event.values[0] != 0;
    const bool all = event.values[2] != 0;
    host_clock_ = event.values[1];
    after_last_track_ = false;
    if (on)
      return enter_phase({.on = true,
                          .since = entry(),
                          .decided_by = joined_at_ == kNone ? std::nullopt : std::optional(joined_at_),
                          .why = on_text()});
    MasterClockPhase phase{.on = false, .since = entry()};
    if (vcpus_.empty() && !all) {
      phase.cause = OffCause::no_vcpu;
      phase.why = "the VM was just created";
    } else if (!is_tsc(host_clock_)) {
      phase.cause = OffCause::host_clock;
      phase.decided_by = entry();
      phase.why = "the host's clocksource is not the TSC";
      if (!all) phase.why += "; moreover " + mismatch_text();
    } else if (!all) {
      phase.cause = OffCause::not_matched;
      if (generation_since_ != kNone) phase.decided_by = generation_since_;
      phase.outside = outside();
      phase.why = mismatch_text();
    } else {
      explain_veto(phase);
    }
    enter_phase(std::move(phase));
  }

  std::string on_text() const {
    const std::string who = online_ == 0   ? "all vCPUs"
                            : online_ == 1 ? "the only vCPU"
                                           : fmt::format("all {} vCPUs", online_);
    return fmt::format("{} {} in one generation, the host's clocksource is the TSC", who, online_ == 1 ? "is" : "are");
  }

  // Every condition that a tracepoint prints is met. At such a resume KVM raises all offsets by as much as the counter went
  // back, each at its vCPU's next load: around this update, without kvm_track_tsc.
  void explain_veto(MasterClockPhase& phase) {
    if (!backwards_) note_backwards();
    if (backwards_) {
      phase.cause = OffCause::backwards_tsc;
      phase.decided_by = backwards_->entry;
      phase.why = fmt::format("the host's TSC went backwards: KVM raised the offsets by {} without being asked, {}",
                              cycles_text(backwards_->cycles, khz()), when(backwards_->entry));
    } else if (told_.from_creation && whole_) {
      phase.cause = OffCause::old_kvmclock;
      phase.why =
          "all vCPUs match, the host's clocksource is the TSC and its TSC did not go backwards: what remains is a boot vCPU "
          "that runs the old kvmclock";
    } else {
      phase.cause = OffCause::veto;
      phase.why =
          "all vCPUs match and the host's clocksource is the TSC: either the host's TSC went backwards before the log began, "
          "or the boot vCPU runs the old kvmclock";
    }
  }

  void note_backwards() {
    backwards_ = find_backwards();
    for (const Move& move : moves_)
      if (is_backwards(move)) of(move.vcpu).moved_since_page = 0;
  }

  std::optional<Move> find_backwards() const {
    std::map<std::int64_t, std::set<int>> vcpus;
    std::map<std::int64_t, std::size_t> first;
    const auto count = [&](std::int64_t cycles, int vcpu, std::size_t at) {
      if (cycles <= 0) return;
      vcpus[cycles].insert(vcpu);
      first.emplace(cycles, at);
    };
    for (const Move& move : moves_)
      if (!move.synchronised) count(move.cycles, move.vcpu, move.entry);
    for (std::size_t i = at_ + 1; i < steps_.size() && steps_[i].event != nullptr; ++i) {
      const TraceEvent& event = *steps_[i].event;
      if (event.kind == TraceKind::track_tsc || (event.kind == TraceKind::update_master_clock && event.values[0] != 0))
        break;
      if (event.kind == TraceKind::write_tsc_offset)
        count(static_cast<std::int64_t>(event.values[1] - event.values[0]), event.vcpu, steps_[i].entry);
    }
    const std::size_t enough = online_ == 1 || vcpus_.size() == 1 ? 1 : 2;
    for (const auto& [cycles, who] : vcpus)
      if (who.size() >= enough) return Move{first.at(cycles), *who.begin(), cycles, false, true, true};
    return std::nullopt;
  }

  // ---- pages ----

  void take_page(const TraceEvent& event) {
    judge_interleaved();
    Vcpu& vcpu = of(event.vcpu);
    const ClockPage page = page_of(event);
    const std::uint32_t khz_now = khz_of_page(page.mul, page.shift);
    if (vcpu.page) compare_pages(event.vcpu, vcpu, page, khz_now);
    if ((event.values[5] & kStableFlag) != 0) master_was(true);
    ++vcpu.summary.pages;
    vcpu.summary.khz = khz_now;
    vcpu.page = page;
    vcpu.moved_since_page = 0;
    if (khz_ == 0) khz_ = khz_now;
  }

  void compare_pages(int index, Vcpu& vcpu, const ClockPage& page, std::uint32_t khz_now) {
    VcpuSummary& summary = vcpu.summary;
    if (khz_now != summary.khz)
      add({.id = "rate-changed",
           .entry = entry(),
           .vcpus = {index},
           .text = fmt::format("vCPU {}'s kvmclock page counts at {} kHz from here on, before at {} kHz", index,
                               khz_now, summary.khz),
           .rule =
               "the page's multiplier follows the vCPU's TSC rate (Linux arch/x86/kvm/x86.c, kvm_guest_time_update())",
           .cure = ""});
    const auto step = page_step_ns(*vcpu.page, page, vcpu.moved_since_page);
    if (!step) return;
    if (summary.steps++ == 0) {
      summary.least_step_ns = summary.greatest_step_ns = *step;
      summary.least_step_at = summary.greatest_step_at = entry();
    }
    if (*step < summary.least_step_ns) {
      summary.least_step_ns = *step;
      summary.least_step_at = entry();
    }
    if (*step > summary.greatest_step_ns) {
      summary.greatest_step_ns = *step;
      summary.greatest_step_at = entry();
    }
    // Rates are whole kHz, so that the guest's line and the host's part by up to one in that many.
    const std::int64_t passed = std::abs(static_cast<std::int64_t>(page.system_time - vcpu.page->system_time) / 2) * 2;
    const std::int64_t usual = kUnremarkable_ns + (khz_now == 0 ? 0 : passed / khz_now);
    if (*step > usual) ++large_steps_[{index, true}];
    if (*step < -usual) ++large_steps_[{index, false}];
  }

  // ---- the end ----

  std::uint32_t khz() const { return khz_ != 0 ? khz_ : khz_ahead(); }

  // Of the first page still to come, or of the host.
  std::uint32_t khz_ahead() const {
    for (const Step& step : steps_)
      if (step.event != nullptr && step.event->kind == TraceKind::pvclock_update) {
        const ClockPage page = page_of(*step.event);
        if (const std::uint32_t rate = khz_of_page(page.mul, page.shift)) return rate;
      }
    return recording_.header.profile.host_khz;
  }

  void conclude() {
    judge_interleaved();
    add_phases();
    add_moves();
    add_steps();
    add_pending();
    add_offsets();
    for (auto& [index, vcpu] : vcpus_) {
      vcpu.summary.vcpu = index;
      vcpu.summary.offset = vcpu.offset;
      if (vcpu.generation) vcpu.summary.in_generation = *vcpu.generation == generation_;
      told_.vcpus.push_back(vcpu.summary);
    }
    std::stable_sort(told_.findings.begin(), told_.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.entry < b.entry; });
  }

  void add_phases() {
    for (std::size_t i = 0; i < told_.master_clock.size(); ++i) {
      const MasterClockPhase& phase = told_.master_clock[i];
      if (phase.on) continue;
      Finding finding{.entry = phase.since, .vcpus = phase.outside, .text = "the master clock is off: " + phase.why};
      switch (*phase.cause) {
        case OffCause::no_vcpu:
        case OffCause::unknown:
          continue;
        case OffCause::not_matched:
          finding.id = "no-common-generation";
          finding.rule = kMatchingRule;
          finding.cure = kMatchingCure;
          break;
        case OffCause::host_clock:
          finding.id = "host-clocksource";
          finding.rule = kHostClockRule;
          finding.cure = kHostClockCure;
          break;
        case OffCause::backwards_tsc:
          finding.id = "host-tsc-backwards";
          finding.rule = kBackwardsRule;
          finding.cure = kBackwardsCure;
          finding.cycles = backwards_->cycles;
          break;
        case OffCause::old_kvmclock:
          finding.id = "old-kvmclock";
          finding.rule = kOldKvmclockRule;
          finding.cure = kOldKvmclockCure;
          break;
        case OffCause::veto:
          finding.id = "master-clock-vetoed";
          finding.rule = fmt::format("{}; or: {}", kBackwardsRule, kOldKvmclockRule);
          break;
      }
      if (i + 1 < told_.master_clock.size()) finding.until = told_.master_clock[i + 1].since;
      add(std::move(finding));
    }
  }

  void add_moves() {
    add_unstable_moves();
    std::vector<Move> moves;
    for (const Move& move : moves_)
      if (move.host_is_tsc || move.synchronised)
        if (!is_backwards(move) && (move.had_run || !move.synchronised)) moves.push_back(move);
    for (std::size_t i = 0; i < moves.size();) {
      std::vector<int> who;
      std::size_t k = i;
      for (; k < moves.size() && moves[k].cycles == moves[i].cycles && moves[k].synchronised == moves[i].synchronised;
           ++k) {
        if (std::find(who.begin(), who.end(), moves[k].vcpu) != who.end()) break;
        who.push_back(moves[k].vcpu);
      }
      add_move(moves[i], std::move(who));
      i = k;
    }
  }

  void add_move(const Move& move, std::vector<int> who) {
    const std::string by = move.synchronised ? "by the host" : "by the guest itself, or by KVM";
    const std::string list = vcpus_text(who);
    add({.id = "tsc-moved",
         .entry = move.entry,
         .vcpus = std::move(who),
         .cycles = move.cycles,
         .ns = ns_of_cycles(move.cycles, khz()),
         .text = fmt::format("the TSC of {} was moved {} by {}", list, by, cycles_text(move.cycles, khz())),
         .rule =
             move.synchronised
                 ? "kvm_track_tsc follows: a host's write of IA32_TSC or of the TSC offset attribute"
                 : "no kvm_track_tsc follows: the guest's own WRMSR of IA32_TSC or IA32_TSC_ADJUST (5.10 and later), or an "
                   "adjustment at a vCPU's load",
         .cure = ""});
  }

  // On such a host every load of a vCPU sets its offset anew.
  void add_unstable_moves() {
    std::set<int> who;
    std::optional<std::size_t> first;
    std::size_t count = 0;
    for (const Move& move : moves_) {
      if (move.synchronised || move.host_is_tsc) continue;
      who.insert(move.vcpu);
      if (count++ == 0) first = move.entry;
    }
    if (!first) return;
    add({.id = "offsets-rewritten",
         .entry = *first,
         .vcpus = {who.begin(), who.end()},
         .text = fmt::format("KVM rewrote the offset of {} {} by itself, the first time {}",
                             vcpus_text({who.begin(), who.end()}), count == 1 ? "once" : fmt::format("{} times", count),
                             when(*first)),
         .rule =
             "on a host whose TSC is unstable, each load of a vCPU sets its offset so that the guest's TSC goes on where it "
             "stopped (Linux arch/x86/kvm/x86.c, kvm_arch_vcpu_load())",
         .cure = std::string(kHostClockCure)});
  }

  void add_steps() {
    for (const auto& [which, count] : large_steps_) {
      const auto [index, forward] = which;
      const VcpuSummary& summary = vcpus_.at(index).summary;
      const std::int64_t step = forward ? summary.greatest_step_ns : summary.least_step_ns;
      add({.id = forward ? "kvmclock-forward" : "kvmclock-back",
           .entry = forward ? summary.greatest_step_at : summary.least_step_at,
           .vcpus = {index},
           .ns = step,
           .text = fmt::format("vCPU {}'s kvmclock stepped {} by {} from one page to the next{}", index,
                               forward ? "forward" : "back", ns_text(std::abs(step)),
                               count == 1 ? "" : fmt::format(", the greatest of {} such steps", count)),
           .rule =
               "KVM_SET_CLOCK is not traced: it shows as such a step. Without a master clock each page comes from two readings, "
               "the TSC and then the time, and steps by what lies between them. Over a suspend kvmclock gains the time asleep",
           .cure = ""});
    }
  }

  // A request for an update is served at the vCPU's next entry.
  void add_pending() {
    if (!after_last_track_ || told_.master_clock.empty() || !is_tsc(host_clock_) || online_ == 0 || backwards_) return;
    const bool on = told_.master_clock.back().on;
    if (on == all_match()) return;
    add({.id = "update-pending",
         .entry = joined_at_,
         .vcpus = outside(),
         .text = on ? "the master clock goes off when a vCPU is entered next: " + mismatch_text()
                    : "the master clock may come on when a vCPU is entered next: all vCPUs are in one generation",
         .rule = std::string(kMatchingRule),
         .cure = on ? std::string(kMatchingCure) : ""});
  }

  void add_offsets() {
    if (!honoured_) return;
    const Vcpu* least = nullptr;
    const Vcpu* most = nullptr;
    int least_index = 0, most_index = 0;
    for (const auto& [index, vcpu] : vcpus_) {
      if (!vcpu.offset) continue;
      const auto offset = static_cast<std::int64_t>(*vcpu.offset);
      if (least == nullptr || offset < static_cast<std::int64_t>(*least->offset))
        std::tie(least, least_index) = std::pair(&vcpu, index);
      if (most == nullptr || offset > static_cast<std::int64_t>(*most->offset))
        std::tie(most, most_index) = std::pair(&vcpu, index);
    }
    if (least == nullptr || *least->offset == *most->offset) return;
    const auto apart = static_cast<std::int64_t>(*most->offset - *least->offset);
    const bool later = *most->written_at > *least->written_at;
    add({.id = "offsets-differ",
         .entry = later ? *most->written_at : *least->written_at,
         .vcpus = {least_index, most_index},
         .cycles = apart,
         .ns = ns_of_cycles(apart, khz()),
         .text = fmt::format("at the end vCPU {}'s TSC is ahead of vCPU {}'s by {}", most_index, least_index,
                             cycles_text(apart, khz())),
         .rule =
             "each vCPU has an offset of its own; only a write that matches takes over the generation's (Linux arch/x86/kvm/x86.c, "
             "kvm_synchronize_tsc())",
         .cure = std::string(kMatchingCure)});
  }

  Vcpu& of(int index) { return vcpus_[index]; }
  void add(Finding finding) { told_.findings.push_back(std::move(finding)); }

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  const ops::Recording& recording_;
  std::vector<Step> steps_;
  std::size_t at_ = 0;
  Explanation told_;
  std::map<int, Vcpu> vcpus_;
  std::vector<Move> moves_;
  std::map<std::pair<int, bool>, std::size_t> large_steps_;  // by vCPU and direction
  bool whole_ = false;                                       // every event since the VM's creation was seen
  bool honoured_ = true;                                     // offsets take effect
  bool known_master_ = false;
  std::uint64_t host_clock_ = kTscClock;
  std::uint64_t online_ = 0;
  std::optional<std::uint64_t> matched_;
  std::uint64_t generation_ = 0;
  int founder_ = ops::kVm;
  std::optional<std::uint64_t> generation_offset_;
  std::size_t generation_since_ = kNone;
  std::size_t joined_at_ = kNone;
  std::size_t first_host_write_ = kNone;
  std::optional<Finding> interleaved_;
  bool told_interleaved_ = false;
  bool after_last_track_ = false;
  std::optional<Move> backwards_;
  std::uint32_t khz_ = 0;
};

}  // namespace

std::string_view name_of(OffCause cause) {
  switch (cause) {
    case OffCause::no_vcpu:
      return "no-vcpu";
    case OffCause::not_matched:
      return "not-matched";
    case OffCause::host_clock:
      return "host-clocksource";
    case OffCause::backwards_tsc:
      return "host-tsc-backwards";
    case OffCause::old_kvmclock:
      return "old-kvmclock";
    case OffCause::veto:
      return "vetoed";
    case OffCause::unknown:
      break;
  }
  return "unknown";
}

Explanation explain(const ops::Recording& recording, int host) {
  Explanation told = Story(recording, host).tell();
  explain_calls(recording, host, told);
  return told;
}

const MasterClockPhase* why_master_clock_off(const Explanation& explanation) {
  if (explanation.master_clock.empty() || explanation.master_clock.back().on) return nullptr;
  return &explanation.master_clock.back();
}

std::vector<FindingInfo> finding_ids() {
  return {{"no-common-generation", "the master clock is off because not all vCPUs are in the current generation"},
          {"host-clocksource", "the master clock is off because the host's clocksource is not the TSC"},
          {"host-tsc-backwards", "the master clock is off for good because the host's TSC went backwards"},
          {"old-kvmclock", "the master clock is off because the guest uses the old system time MSR"},
          {"master-clock-vetoed", "one of the two above; the log does not tell which"},
          {"update-pending", "the master clock changes at the next entry of a vCPU"},
          {"interleaved-create", "a vCPU was created after another one's TSC was written, and they are apart"},
          {"offsets-differ", "at the end the vCPUs' TSCs are apart"},
          {"offsets-rewritten", "KVM rewrites offsets at each load: the host's TSC is unstable"},
          {"tsc-moved", "a vCPU's TSC was moved after it had run"},
          {"kvmclock-forward", "kvmclock stepped forward from one page to the next"},
          {"kvmclock-back", "kvmclock stepped back from one page to the next"},
          {"rate-changed", "a vCPU's TSC rate changed"},
          {"ignored-write", "this KVM accepts TSC offsets and does not apply them"},
          {"call-refused", "KVM refused a call"},
          {"khz-differ", "vCPUs were given unequal rates"},
          {"write-pass-too-long", "the vCPUs' writes took more than a second"},
          {"clock-after-run", "KVM_SET_CLOCK while a vCPU runs"},
          {"clock-saved-and-set", "time between KVM_GET_CLOCK and the KVM_SET_CLOCK after it"},
          {"tsc-before-long-step", "time between a write and the vCPU's next entry"}};
}

}  // namespace tscsim::logs
