#include "logs/explain_calls.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "logs/explain_text.h"

namespace tscsim::logs {
namespace {

constexpr std::int64_t kOneSecond_ns = 1'000'000'000;
constexpr std::int64_t kNoticeable_ns = 1'000'000;

std::string error_text(int error) {
  const char* name = ::strerrorname_np(error);
  return name == nullptr ? fmt::format("error {}", error) : std::string(name);
}

class Calls {
 public:
  Calls(const ops::Recording& recording, int host, Explanation& told) : recording_(recording), told_(told) {
    for (std::size_t i = 0; i < recording.entries.size(); ++i) {
      const ops::Entry& entry = recording.entries[i];
      if (entry.op.host == host && !entry.call.empty()) calls_.push_back(i);
    }
  }

  void explain() {
    if (calls_.empty()) return;
    for (const std::size_t index : calls_) take(index);
    end_of_pass();
    told_.undecided.push_back(
        "what was written to IA32_TSC and as TSC offsets, and so generations, offsets and the master clock");
  }

 private:
  const ops::Entry& at(std::size_t index) const { return recording_.entries[index]; }
  std::string when(std::size_t index) const { return moment_text(recording_, index); }
  std::int64_t between_ns(std::size_t early, std::size_t late) const { return at(late).op.at_ns - at(early).op.at_ns; }
  static bool is(const ops::Entry& entry, std::string_view name) {
    return entry.call.starts_with(name) && (entry.call.size() == name.size() || entry.call[name.size()] == '(');
  }

  void take(std::size_t index) {
    const ops::Entry& entry = at(index);
    if (entry.outcome.error != 0 && !is(entry, "KVM_RUN")) add_refusal(index);
    if (is(entry, "KVM_CREATE_VCPU")) take_creation(index);
    if (is(entry, "KVM_SET_TSC_KHZ")) take_rate(index);
    if (is(entry, "KVM_SET_MSRS") || is(entry, "KVM_SET_DEVICE_ATTR")) take_write(index);
    if (is(entry, "KVM_GET_CLOCK")) saved_ = index;
    if (is(entry, "KVM_SET_CLOCK")) take_set_clock(index);
    if (is(entry, "KVM_RUN")) take_run(index);
  }

  void add_refusal(std::size_t index) {
    const ops::Entry& entry = at(index);
    add({.id = "call-refused",
         .entry = index,
         .vcpus = entry.op.vcpu == ops::kVm ? std::vector<int>{} : std::vector<int>{entry.op.vcpu},
         .text = fmt::format("{}{} was refused: {}", entry.call,
                             entry.op.vcpu == ops::kVm ? "" : fmt::format(" on vCPU {}", entry.op.vcpu),
                             error_text(entry.outcome.error))});
  }

  void take_creation(std::size_t index) {
    if (!first_write_ || told_interleaved_ || !runs_.empty()) return;
    told_interleaved_ = true;
    told_.undecided.push_back(fmt::format("interleaved-create: {} comes after {} {}; it matters if that wrote a TSC",
                                          at(index).call, at(*first_write_).call, when(*first_write_)));
  }

  void take_rate(std::size_t index) {
    const ops::Entry& entry = at(index);
    if (entry.op.vcpu == ops::kVm) return;
    for (const auto& [vcpu, call] : rates_)
      if (call != entry.call && vcpu != entry.op.vcpu)
        add({.id = "khz-differ",
             .entry = index,
             .vcpus = {vcpu, entry.op.vcpu},
             .text = fmt::format("{} on vCPU {}, but {} on vCPU {}", entry.call, entry.op.vcpu, call, vcpu),
             .rule =
                 "vCPUs of unequal rates do not match: the master clock stays off (Linux arch/x86/kvm/x86.c, kvm_synchronize_tsc())",
             .cure = "give all vCPUs one rate"});
    rates_[entry.op.vcpu] = entry.call;
  }

  void take_write(std::size_t index) {
    const int vcpu = at(index).op.vcpu;
    if (!first_write_) first_write_ = index;
    if (!pass_start_) pass_start_ = index;
    pass_end_ = index;
    last_write_[vcpu] = index;
  }

  // A pass of writes over the vCPUs ends where one of them runs.
  void end_of_pass() {
    if (pass_start_ && at(*pass_start_).op.vcpu != at(pass_end_).op.vcpu &&
        between_ns(*pass_start_, pass_end_) > kOneSecond_ns)
      add({.id = "write-pass-too-long",
           .entry = *pass_start_,
           .until = pass_end_,
           .ns = between_ns(*pass_start_, pass_end_),
           .text = fmt::format("the vCPUs' writes took {}: if they wrote saved TSCs, the last does not match the first",
                               ns_text(between_ns(*pass_start_, pass_end_))),
           .rule =
               "a written TSC matches within one second of where the last write would be by now (Linux arch/x86/kvm/x86.c, "
               "kvm_synchronize_tsc())",
           .cure = "write all TSCs at once, or one common offset"});
    pass_start_.reset();
  }

  // A vCPU that waits to be started is in KVM_RUN, too, and not in the guest; such a call ends with EAGAIN.
  bool waited_for_start(std::size_t run) const { return at(run).outcome.error == EAGAIN; }

  void take_set_clock(std::size_t index) {
    for (const auto& [vcpu, run] : runs_)
      if (!waited_for_start(run) && at(run).op.at_ns < at(index).op.at_ns &&
          at(run).bracket.realtime_ns.hi > static_cast<std::uint64_t>(at(index).op.at_ns))
        add({.id = "clock-after-run",
             .entry = index,
             .vcpus = {vcpu},
             .text = fmt::format("KVM_SET_CLOCK while vCPU {} is in KVM_RUN, since {}", vcpu, when(run)),
             .rule = "a guest that runs sees its kvmclock step",
             .cure = "set the clock before the first vCPU runs"});
    if (saved_ && between_ns(*saved_, index) >= kNoticeable_ns)
      add({.id = "clock-saved-and-set",
           .entry = index,
           .ns = between_ns(*saved_, index),
           .text = fmt::format("{} passed since KVM_GET_CLOCK {}: if that value was set, kvmclock lost as much",
                               ns_text(between_ns(*saved_, index)), when(*saved_)),
           .rule = "KVM_SET_CLOCK without KVM_CLOCK_REALTIME goes on from the value that it is given",
           .cure =
               "give the realtime of KVM_GET_CLOCK back with KVM_CLOCK_REALTIME, where the guest should see the time pass"});
    saved_.reset();
  }

  void take_run(std::size_t index) {
    const int vcpu = at(index).op.vcpu;
    end_of_pass();
    runs_[vcpu] = index;
    const auto written = last_write_.find(vcpu);
    if (written == last_write_.end()) return;
    const std::int64_t gap = between_ns(written->second, index);
    if (gap >= 100 * kNoticeable_ns)
      add({.id = "tsc-before-long-step",
           .entry = index,
           .vcpus = {vcpu},
           .ns = gap,
           .text = fmt::format("vCPU {} runs {} after {} {}: if that wrote its TSC, it has gone on for as long", vcpu,
                               ns_text(gap), at(written->second).call, when(written->second)),
           .rule = "a TSC ticks from the moment in which it is written",
           .cure = "write the TSC last, right before the first entry"});
    last_write_.erase(written);
  }

  void add(Finding finding) { told_.findings.push_back(std::move(finding)); }

  const ops::Recording& recording_;
  Explanation& told_;
  std::vector<std::size_t> calls_;
  std::optional<std::size_t> first_write_, pass_start_, saved_;
  std::size_t pass_end_ = 0;
  std::map<int, std::size_t> last_write_, runs_;  // by vCPU
  std::map<int, std::string> rates_;
  bool told_interleaved_ = false;
};

}  // namespace

void explain_calls(const ops::Recording& recording, int host, Explanation& told) {
  Calls(recording, host, told).explain();
}

}  // namespace tscsim::logs
