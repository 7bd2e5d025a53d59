#include "hunt/grammar.h"

#include <fmt/format.h>

#include <array>
#include <functional>
#include <vector>

namespace tscsim::hunt {
namespace {

class Author {
 public:
  Author(const Ground& ground, sim::Stream& random) : ground_(ground), random_(random) {}

  Draft write(const std::string& name) {
    Draft draft;
    draft.name = name;
    draft.source = "tscsim hunt";
    draft.hyperv = ground_.hyperv && chance(1, 2);
    irqchip_ = draft.irqchip = chance(1, 4);
    if (ground_.pcpus > 1) draft.host = fmt::format("pcpus: {}", ground_.pcpus);
    draft.vcpus = static_cast<int>(random_.uniform(1, 4));
    draft.kvmclock = chance(4, 5);
    vcpus_ = draft.vcpus;
    const std::int64_t length = random_.uniform(3, 16);
    for (std::int64_t i = 0; i < length; ++i) draft.steps.push_back({gap_ns(), body()});
    // What the guests see in the end.
    draft.steps.push_back({1000, "vcpu: all, run: "});
    for (int vcpu = 0; vcpu < vcpus_; ++vcpu)
      draft.steps.push_back({0, fmt::format("vcpu: {}, read_pvclock: {}", vcpu, capture())});
    return draft;
  }

 private:
  struct Word {
    int weight;
    std::function<std::string()> write;
  };

  bool chance(std::int64_t of, std::int64_t in) { return random_.uniform(1, in) <= of; }
  std::string capture() { return fmt::format("r{}", captures_++); }
  int vcpu() { return static_cast<int>(random_.uniform(0, vcpus_ - 1)); }
  std::string on(int v) { return fmt::format("vcpu: {}, ", v); }

  template <std::size_t N>
  std::string one_of(const std::array<std::string, N>& values) {
    return values[static_cast<std::size_t>(random_.uniform(0, N - 1))];
  }

  std::int64_t gap_ns() {
    if (chance(1, 40)) return random_.uniform(90'000'000, 120'000'000);  // around the delayed clock update
    return chance(1, 2) ? 0 : random_.uniform(0, 500'000);
  }

  // Values near those written before by a second of guest cycles, and the edges of 64 bits.
  std::string tsc_value() {
    const std::string second = "1 s";
    const std::int64_t near = random_.uniform(-1, 1);
    if (!tsc_values_.empty() && chance(1, 2)) {
      const std::string base =
          tsc_values_[static_cast<std::size_t>(random_.uniform(0, static_cast<std::int64_t>(tsc_values_.size()) - 1))];
      switch (random_.uniform(0, 4)) {
        case 0:
          return base;
        case 1:
          return fmt::format("{} + 1 s + {} ms", base, random_.uniform(0, 600));
        case 2:
          return fmt::format("{} + 1 s - {} ms", base, random_.uniform(1, 600));
        case 3:
          return fmt::format("{} - 1 s - {} ms", base, random_.uniform(0, 600));
        default:
          return fmt::format("{} - 1 s + {} ms", base, random_.uniform(1, 600));
      }
    }
    const std::array<std::string, 9> edges = {"0",
                                              "0",
                                              "1",
                                              fmt::format("4_294_967_296 + {}", near),
                                              "9_223_372_036_854_775_807",
                                              "9_223_372_036_854_775_808",
                                              "18_446_744_073_709_551_615",
                                              fmt::format("{}", random_.uniform(0, 100'000'000'000)),
                                              "1_000_000_000_000"};
    return one_of(edges);
  }

  std::string remembered_tsc_value() {
    const std::string value = tsc_value();
    if (value.find('s') == std::string::npos && value.size() < 15) tsc_values_.push_back(value);
    return value;
  }

  std::string adjust_value() {
    const std::array<std::string, 6> values = {"0",
                                               "1000",
                                               "-1000",
                                               "1_000_000_000",
                                               "18_446_744_073_709_551_615",
                                               fmt::format("{}", random_.uniform(-100'000'000, 100'000'000))};
    return one_of(values);
  }

  std::string offset_value() {
    if (last_offset_.empty() || chance(1, 2)) {
      const std::array<std::string, 5> values = {"0", "-1_000_000_000_000", "9_223_372_036_854_775_808",
                                                 "18_446_744_073_709_551_615",
                                                 fmt::format("{}", random_.uniform(-1'000'000'000'000, 0))};
      last_offset_ = one_of(values);
    }
    return last_offset_;
  }

  std::string khz_value() {
    const std::int64_t host = ground_.host_khz;
    const std::int64_t lo = host * 999'750 / 1'000'000, hi = host * 1'000'250 / 1'000'000;
    const std::array<std::int64_t, 12> values = {
        host,     lo,           lo - 1,        hi,       hi + 1,  ground_.slowest_khz, host / 2,
        host * 2, host * 3 / 2, 2'147'483'646, host + 1, host - 1};
    return fmt::format("{}", values[static_cast<std::size_t>(random_.uniform(0, 11))]);
  }

  std::string clock_value() {
    const std::array<std::string, 6> values = {"0",
                                               "1 ns",
                                               "10 s",
                                               "180 s",
                                               "4_294_967_296 ns",
                                               fmt::format("{} ns", random_.uniform(0, 1'000'000'000'000'000))};
    return one_of(values);
  }

  std::string set_clock() {
    if (!ground_.clock_flags || chance(2, 3)) return fmt::format("set_clock: {{clock: {}}}", clock_value());
    const std::string flags = chance(1, 5) ? "15" : "[realtime]";
    const std::string realtime = chance(1, 2) ? "1_700_000_000 s" : "9_000_000_000 s";
    return fmt::format("set_clock: {{clock: {}, realtime: {}, flags: {}}}", clock_value(), realtime, flags);
  }

  std::string create() {
    if (vcpus_ >= 6) return "get_clock: " + capture();
    return fmt::format("create_vcpu: {}", vcpus_++);
  }

  // Catch-up above the host's rate makes every exit of the guest visible in its page, also those that the guest does
  // not cause; such rates are asked for only where the hardware scales.
  std::vector<Word> words() {
    std::vector<Word> all = {
        {10, [&] { return on(vcpu()) + fmt::format("set_msr: {{IA32_TSC: {}}}", remembered_tsc_value()); }},
        {3, [&] { return fmt::format("vcpu: all, set_msr: {{IA32_TSC: {}}}", remembered_tsc_value()); }},
        {3, [&] { return on(vcpu()) + "get_msr: IA32_TSC, as: " + capture(); }},
        {3, [&] { return on(vcpu()) + fmt::format("set_msr: {{IA32_TSC_ADJUST: {}}}", adjust_value()); }},
        {3, [&] { return on(vcpu()) + "get_msr: IA32_TSC_ADJUST, as: " + capture(); }},
        {4, [&] { return on(vcpu()) + fmt::format("wrmsr: {{IA32_TSC: {}}}", tsc_value()); }},
        {4, [&] { return on(vcpu()) + fmt::format("wrmsr: {{IA32_TSC_ADJUST: {}}}", adjust_value()); }},
        {2, [&] { return on(vcpu()) + "rdmsr: IA32_TSC, as: " + capture(); }},
        {2, [&] { return on(vcpu()) + "rdmsr: IA32_TSC_ADJUST, as: " + capture(); }},
        {5, [&] { return on(vcpu()) + "rdtsc: " + capture(); }},
        {6, [&] { return on(vcpu()) + "run: "; }},
        {3, [&] { return std::string("vcpu: all, run: "); }},
        {6, [&] { return on(vcpu()) + "read_pvclock: " + capture(); }},
        {4, [&] { return "get_clock: " + capture(); }},
        {5, [&] { return set_clock(); }},
        {2, [&] { return on(vcpu()) + "kvmclock_ctrl: "; }},
        {3, [&] { return on(vcpu()) + (chance(3, 4) ? "kvmclock: on" : "kvmclock: off"); }},
        {2, [&] { return on(vcpu()) + "wall_clock: " + capture(); }},
        {3, [&] { return on(vcpu()) + "set_tsc_khz: " + khz_value(); }},
        {1, [&] { return "set_tsc_khz: " + khz_value(); }},
        {1, [&] { return on(vcpu()) + "get_tsc_khz: " + capture(); }},
        {3, [&] { return create(); }},
        {2, [&] { return on(vcpu()) + fmt::format("move_vcpu: {}", random_.uniform(0, ground_.pcpus - 1)); }},
    };
    if (ground_.offset_attribute) {
      all.push_back({6, [&] { return on(vcpu()) + "set_tsc_offset: " + offset_value(); }});
      all.push_back({2, [&] { return "vcpu: all, set_tsc_offset: " + offset_value(); }});
      all.push_back({1, [&] { return on(vcpu()) + "get_tsc_offset: " + capture(); }});
    }
    if (ground_.hyperv) add_hyperv_words(all);
    if (ground_.steal_time) add_steal_time_words(all);
    if (irqchip_) add_deadline_words(all);
    if (ground_.rdtscp) all.push_back({1, [&] { return on(vcpu()) + "rdtscp: " + capture(); }});
    if (ground_.clocksource_changes)
      all.push_back({2, [&] { return std::string(chance(1, 2) ? "set_clocksource: hpet" : "set_clocksource: tsc"); }});
    if (ground_.marks_unstable) all.push_back({1, [] { return std::string("mark_tsc_unstable: "); }});
    if (ground_.tsc_jumps) all.push_back({2, [&] { return jump(); }});
    if (ground_.suspends) all.push_back({2, [&] { return std::string("suspend_host: {for: 1 s, tsc: restarts}"); }});
    if (ground_.pcpu_hotplug && ground_.pcpus > 1) {
      all.push_back({2, [&] { return fmt::format("offline_pcpu: {}", random_.uniform(1, ground_.pcpus - 1)); }});
      all.push_back({2, [&] { return fmt::format("online_pcpu: {}", random_.uniform(1, ground_.pcpus - 1)); }});
    }
    return all;
  }

  void add_hyperv_words(std::vector<Word>& all) {
    all.push_back({3, [&] { return on(vcpu()) + (chance(4, 5) ? "hyperv_tsc_page: on" : "hyperv_tsc_page: off"); }});
    all.push_back({3, [&] { return on(vcpu()) + "read_hyperv_page: " + capture(); }});
    all.push_back({3, [&] { return on(vcpu()) + "get_msr: HV_X64_MSR_TIME_REF_COUNT, as: " + capture(); }});
    all.push_back({1, [&] { return on(vcpu()) + "rdmsr: HV_X64_MSR_TIME_REF_COUNT, as: " + capture(); }});
    all.push_back({1, [&] { return on(vcpu()) + "get_msr: HV_X64_MSR_TSC_FREQUENCY, as: " + capture(); }});
    all.push_back(
        {1, [&] { return on(vcpu()) + fmt::format("wrmsr: {{HV_X64_MSR_REFERENCE_TSC: {}}}", page_value()); }});
    all.push_back({1, [&] {
                     return on(vcpu()) +
                            fmt::format("set_msr: {{HV_X64_MSR_TSC_EMULATION_CONTROL: {}}}", random_.uniform(0, 1));
                   }});
  }

  // Where scenarios keep the page, beside it, outside memory, nowhere.
  std::string page_value() {
    const std::array<std::string, 4> values = {fmt::format("{}", ops::layout::kHypervPage | 1), "3_014_657",
                                               "1_099_511_627_777", "0"};
    return one_of(values);
  }

  void add_steal_time_words(std::vector<Word>& all) {
    all.push_back({2, [&] { return on(vcpu()) + (chance(3, 4) ? "steal_time: on" : "steal_time: off"); }});
    all.push_back({1, [&] { return on(vcpu()) + "peek_steal_time: " + capture(); }});
    all.push_back({1, [&] { return on(vcpu()) + "set_msr: {MSR_KVM_STEAL_TIME: 3_145_731}, fails: EINVAL"; }});
  }

  // Far ahead of a fresh TSC and of one that was written; in the past; none.
  std::string deadline_value() {
    const std::array<std::string, 4> values = {"600 s", "1_000_000_000_000 + 600 s", "0", "1"};
    return one_of(values);
  }

  void add_deadline_words(std::vector<Word>& all) {
    all.push_back({3, [&] {
                     const std::array<std::string, 4> modes = {"tsc_deadline", "tsc_deadline", "oneshot", "periodic"};
                     return on(vcpu()) + fmt::format("set_lapic: {{timer: {}}}", one_of(modes));
                   }});
    all.push_back(
        {4, [&] { return on(vcpu()) + fmt::format("set_msr: {{IA32_TSC_DEADLINE: {}}}", deadline_value()); }});
    all.push_back({3, [&] { return on(vcpu()) + "get_msr: IA32_TSC_DEADLINE, as: " + capture(); }});
    all.push_back({1, [&] { return on(vcpu()) + "rdmsr: IA32_TSC_DEADLINE, as: " + capture(); }});
  }

  // Backwards only by little: a clock that counts the TSC stands still until it has caught up.
  std::string jump() {
    const std::array<std::string, 6> values = {
        "1", "1000", "-1000", "3 s", "1 ms", fmt::format("{}", random_.uniform(-100'000, 100'000'000))};
    const std::string by = one_of(values);
    if (ground_.pcpus == 1 || chance(1, 2)) return "jump_host_tsc: " + by;
    return fmt::format("jump_host_tsc: {{by: {}, pcpu: {}}}", by, random_.uniform(0, ground_.pcpus - 1));
  }

  std::string body() {
    const std::vector<Word> all = words();
    std::int64_t total = 0;
    for (const Word& word : all) total += word.weight;
    std::int64_t ticket = random_.uniform(1, total);
    for (const Word& word : all) {
      ticket -= word.weight;
      if (ticket <= 0) return word.write();
    }
    return all.back().write();
  }

  const Ground& ground_;
  sim::Stream& random_;
  int vcpus_ = 1;
  bool irqchip_ = false;
  int captures_ = 0;
  std::vector<std::string> tsc_values_;
  std::string last_offset_;
};

}  // namespace

Ground ground_of(const ops::TargetProfile& profile) {
  Ground ground;
  ground.host_khz = profile.host_khz;
  ground.pcpus = profile.pcpus;
  ground.offset_attribute = profile.offset_attribute;
  ground.clock_flags = profile.clock_has_realtime;
  ground.rdtscp = profile.guest_rdtscp;
  // 1 kHz scales to 0 there, which hangs kernels before 6.16 (4578a747f3c7).
  if (profile.tsc_scaling) ground.slowest_khz = 2;
  ground.clocksource_changes = profile.clocksource_changes;
  ground.tsc_jumps = profile.tsc_jumps;
  ground.suspends = profile.suspends;
  ground.pcpu_hotplug = profile.pcpu_hotplug;
  ground.hyperv = profile.hyperv;
  ground.steal_time = profile.steal_time;
  return ground;
}

Draft random_draft(const std::string& name, const Ground& ground, sim::Stream& random) {
  return Author(ground, random).write(name);
}

}  // namespace tscsim::hunt
