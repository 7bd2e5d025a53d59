#include "crosscheck/linux_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "crosscheck/linux_clocks.h"
#include "crosscheck/linux_replay.h"
#include "model/guest/detectors.h"
#include "model/guest/tsc_sync.h"
#include "model/guest/watchdog.h"
#include "ops/error.h"

namespace tscsim::crosscheck {
namespace {

namespace guest = model::guest;
using guest::WatchdogVerdict;
using ops::LinuxAction;

constexpr const char* kUnstable = "tsc: Marking TSC unstable due to ";
constexpr const char* kSkipped = "Long readout interval, skipping watchdog check";

bool has_word(const std::string& text, const std::string& word) {
  return (" " + text + " ").find(" " + word + " ") != std::string::npos;
}

// The number that follows `key` in a log line.
std::optional<std::uint64_t> number_after(const std::string& text, const std::string& key, int base = 10) {
  std::size_t at = text.find(key);
  if (at == std::string::npos) return std::nullopt;
  at = text.find_first_not_of(' ', at + key.size());
  std::uint64_t value = 0;
  if (at == std::string::npos ||
      std::from_chars(text.data() + at, text.data() + text.size(), value, base).ec != std::errc{})
    return std::nullopt;
  return value;
}

std::optional<std::int64_t> signed_number_at(const std::string& text, std::size_t at) {
  at = text.find_first_not_of(' ', at);
  std::int64_t value = 0;
  if (at == std::string::npos || std::from_chars(text.data() + at, text.data() + text.size(), value).ec != std::errc{})
    return std::nullopt;
  return value;
}

struct LogLine {
  std::size_t event = 0;
  std::string text;
};

class Outcomes {
 public:
  Outcomes(const ops::LinuxRecording& recording, const guest::GuestEra& era, LinuxResult& result)
      : recording_(recording),
        header_(recording.header),
        era_(era),
        result_(result),
        tsc_(guest::register_khz(header_.tsc_khz)) {
    for (std::size_t i = 0; i < recording.events.size(); ++i) {
      if (const auto* look = std::get_if<ops::LinuxLook>(&recording.events[i])) take_log(i, *look);
      if (const auto* done = std::get_if<ops::LinuxDone>(&recording.events[i]))
        if (done->step.action == LinuxAction::jump_tsc || done->step.action == LinuxAction::adjust_tsc)
          moves_.push_back(i);
    }
  }

  void check() {
    check_steps();
    if (moves_.size() != 1) return;  // the experiments move the TSC once
    check_tsc_adjust();
    check_watchdog();
    check_bring_up();
    check_lockup();
    check_cpu_time();
    check_clocksource();
    if (result_.count(Verdict::mismatch) == 0) check_replay();  // else there is enough to look into
  }

 private:
  void take_log(std::size_t event, const ops::LinuxLook& look) {
    const bool later = looked_;
    looked_ = true;
    for (const ops::LinuxLogLine& line : look.log)
      if (later) log_.push_back({event, line.text});
    last_look_ = event;
    clocksource_ = look.clocksource;
    available_ = look.available;
  }

  const LogLine* logged(const std::string& words) const {
    const auto found = std::find_if(log_.begin(), log_.end(),
                                    [&](const LogLine& line) { return line.text.find(words) != std::string::npos; });
    return found == log_.end() ? nullptr : &*found;
  }

  void tell(std::size_t event, const std::string& what, bool good, const std::string& text) {
    result_.observations.push_back({event, what, good ? Verdict::exact : Verdict::mismatch, good ? "" : text});
  }
  void undecided(std::size_t event, const std::string& what, const std::string& text) {
    result_.observations.push_back({event, what, Verdict::undecided, text});
  }

  const ops::LinuxDone& move() const { return std::get<ops::LinuxDone>(recording_.events[moves_.front()]); }
  WideRange moved() const { return moved_cycles(move(), header_.tsc_khz); }
  bool flag(const char* name) const { return has_word(header_.cpu_flags, name); }
  bool option(const char* name) const { return has_word(header_.command_line, name); }
  int cpus() const { return header_.experiment.machine.cpus; }

  guest::Clocksource reference() const {
    if (has_word(available_, "hpet")) return guest::register_clocksource(100'000'000, 1, 0xffff'ffff);
    return guest::register_clocksource(static_cast<std::uint32_t>(kPmTimerHz), 1, 0xff'ffff);
  }

  // The rates are measured here: there is no kvmclock to ask.
  guest::WatchdogJudgement judge(const guest::Clocksource& wd, const guest::WatchdogSample& last,
                                 const guest::WatchdogSample& now) const {
    return guest::judge(era_, tsc_, wd, last, now, 0, true);
  }

  // What was to be done was done.
  void check_steps() {
    for (std::size_t i = 0; i < recording_.events.size(); ++i)
      if (const auto* done = std::get_if<ops::LinuxDone>(&recording_.events[i]))
        tell(i, std::string(ops::name_of(done->step.action)), done->error == 0,
             fmt::format("failed with errno {}", done->error));
  }

  bool watched() const {
    guest::WatchdogFacts facts;
    facts.reliable = option("tsc=reliable");
    facts.nowatchdog = option("tsc=nowatchdog");
    facts.invariant_tsc = flag("constant_tsc") && flag("nonstop_tsc");
    facts.tsc_adjust = flag("tsc_adjust");
    return !guest::tsc_is_exempt(era_, facts);
  }

  // The pass that first sees the jump comes at most half a second after the one before it, measured by the reference; after
  // a jump forward it comes early, because jiffies jump, too, and after one back it comes as much later.
  std::vector<WatchdogVerdict> possible_verdicts() const {
    const bool all_cpus = cpus() == 1;
    const std::uint64_t period_ns = 500'000'000, tick = header_.tick_ns;
    const std::int64_t ns = move().step.ns;
    std::vector<std::uint64_t> intervals = {period_ns, period_ns + 4 * tick};
    if (all_cpus && ns > 0) intervals.insert(intervals.end(), {tick, 50'000'000, 250'000'000});
    if (all_cpus && ns < 0)
      for (std::uint64_t& interval : intervals) interval += static_cast<std::uint64_t>(-ns);
    const guest::Clocksource wd = reference();
    std::vector<WatchdogVerdict> verdicts;
    for (const std::uint64_t interval : intervals) {
      const Wide cycles = static_cast<Wide>(interval) * header_.tsc_khz / 1'000'000 + moved().lo;
      const Wide counted = static_cast<Wide>(interval) * wd.freq / 1'000'000'000;
      const guest::WatchdogSample now{static_cast<std::uint64_t>(cycles), static_cast<std::uint64_t>(counted)};
      const WatchdogVerdict verdict = judge(wd, {0, 0}, now).verdict;
      if (std::find(verdicts.begin(), verdicts.end(), verdict) == verdicts.end()) verdicts.push_back(verdict);
    }
    return verdicts;
  }

  WatchdogVerdict seen() const {
    const LogLine* unstable = logged(kUnstable);
    if (unstable != nullptr && unstable->text.find("clocksource watchdog") != std::string::npos)
      return WatchdogVerdict::unstable;
    return logged(kSkipped) != nullptr ? WatchdogVerdict::skipped : WatchdogVerdict::ok;
  }

  void check_watchdog() {
    const std::size_t event = moves_.front();
    std::vector<WatchdogVerdict> possible = {WatchdogVerdict::ok};
    if (watched()) possible = possible_verdicts();
    // 7.1 compares one CPU with another, besides.
    if (watched() && cpus() > 1 && era_.watchdog == guest::WatchdogRule::relative)
      possible = {WatchdogVerdict::unstable};
    const bool found = std::find(possible.begin(), possible.end(), seen()) != possible.end();
    if (found && possible.size() > 1) undecided(event, "watchdog", "it depends on when the watchdog came");
    else
      tell(event, "watchdog", found, fmt::format("Linux {}, the model {}", name_of(seen()), name_of(possible.front())));
    check_judgement();
    check_printed_skew(logged("cs_nsec:"), "cs_nsec:", logged("wd_nsec:"), "wd_nsec:");
    check_printed_skew(logged("clocksource: Clocksource"), "interval:", logged("clocksource: Watchdog"), "interval:");
  }

  // By how much both clocks were apart is what the TSC was moved by. The kernel takes both within its window, of 125 us at most.
  void check_printed_skew(const LogLine* cs_line, const char* cs_key, const LogLine* wd_line, const char* wd_key) {
    if (cs_line == nullptr || wd_line == nullptr) return;
    constexpr Wide kWindow_ns = 125'000;
    const auto cs = number_after(cs_line->text, cs_key), wd = number_after(wd_line->text, wd_key);
    const auto ns = [&](Wide cycles) { return cycles * 1'000'000 / header_.tsc_khz; };
    const WideRange expected{ns(moved().lo) - kWindow_ns, ns(moved().hi) + kWindow_ns};
    const Wide skew = static_cast<Wide>(cs.value_or(0)) - static_cast<Wide>(wd.value_or(0));
    tell(cs_line->event, "printed skew", cs && wd && expected.lo <= skew && skew <= expected.hi,
         fmt::format("Linux printed {} ns, the TSC was moved by {} to {}", static_cast<std::int64_t>(skew),
                     static_cast<std::int64_t>(expected.lo), static_cast<std::int64_t>(expected.hi)));
  }

  static const char* name_of(WatchdogVerdict verdict) {
    switch (verdict) {
      case WatchdogVerdict::ok:
        return "lets the TSC alone";
      case WatchdogVerdict::unstable:
        return "marks the TSC unstable";
      case WatchdogVerdict::skipped:
        return "passes the interval over";
      case WatchdogVerdict::reference:
        return "takes a new reference";
    }
    return "";
  }

  // What the watchdog printed of its judgement is what the model computes from the counters that it printed.
  void check_judgement() {
    const LogLine* wd_line = logged("wd_now: ");
    const LogLine* cs_line = logged("cs_now: ");
    if (wd_line == nullptr || cs_line == nullptr) return;
    const auto hex = [](const LogLine& line, const char* key) { return number_after(line.text, key, 16).value_or(0); };
    const guest::WatchdogJudgement judgement =
        judge(reference(), {hex(*cs_line, "cs_last:"), hex(*wd_line, "wd_last:")},
              {hex(*cs_line, "cs_now:"), hex(*wd_line, "wd_now:")});
    const auto compare = [&](const LogLine& line, const char* key, std::uint64_t derived) {
      if (const auto printed = number_after(line.text, key))
        tell(line.event, key, *printed == derived,
             fmt::format("Linux printed {}, the model derives {}", *printed, derived));
    };
    compare(*wd_line, "wd_nsec:", judgement.wd_ns);
    compare(*cs_line, "cs_nsec:", judgement.cs_ns);
    tell(wd_line->event, "verdict on what it printed", judgement.verdict == WatchdogVerdict::unstable,
         fmt::format("Linux marked the TSC unstable, the model {}", name_of(judgement.verdict)));
  }

  // On the next entry to idle the kernel puts back what it remembers.
  void check_tsc_adjust() {
    const bool expected =
        move().step.action == LinuxAction::adjust_tsc && era_.verifies_tsc_adjust && flag("tsc_adjust");
    const LogLine* line = logged("TSC ADJUST differs: ");
    const std::string wanted = fmt::format("TSC ADJUST differs: CPU{} 0 --> {}. Restoring", move().step.cpu,
                                           static_cast<std::int64_t>(move().wrote));
    const bool good = expected ? line != nullptr && line->text.find(wanted) != std::string::npos : line == nullptr;
    tell(line != nullptr ? line->event : moves_.front(), "TSC_ADJUST", good,
         fmt::format("Linux logged '{}', the model {}", line != nullptr ? line->text : "",
                     expected ? wanted : "nothing"));
  }

  bool siblings() const { return header_.siblings == "0-1 0-1"; }

  bool came_online() const {
    return std::any_of(recording_.events.begin(), recording_.events.end(), [](const ops::LinuxEvent& event) {
      const auto* done = std::get_if<ops::LinuxDone>(&event);
      return done != nullptr && done->step.action == LinuxAction::online;
    });
  }

  // A CPU that was set apart comes back. What the test measures is the skew less the hand-over between the two CPUs.
  void check_bring_up() {
    if (!came_online()) return;
    const LogLine* unstable = logged("check_tsc_sync_source failed");
    const std::size_t event = last_look_;
    const auto says = [](bool what) { return what ? "yes" : "no"; };
    if (flag("tsc_adjust") && siblings()) {
      const bool equalised = logged("TSC ADJUST differs within socket(s)") != nullptr;
      tell(event, "TSC_ADJUST made equal", equalised, "the model writes the sibling's value, Linux did not");
      tell(event, "test failed", unstable == nullptr, "Linux failed a test that the model skips");
      return;
    }
    const WideRange apart{-moved().hi, -moved().lo};
    if (!flag("tsc_adjust")) {
      const auto warp = number_after(text_of(logged("TSC warp between CPUs")), "Measured ");
      const guest::SyncStretch stretch{static_cast<std::int64_t>(-apart.lo), guest::kUsualGap_cycles};
      const bool passes = guest::sync_test(era_.sync_test, false, {&stretch, 1}, stretch).passed;
      tell(event, "test failed", (unstable == nullptr) == passes,
           fmt::format("Linux {}, the model {}", says(unstable != nullptr), says(!passes)));
      tell(event, "warp", warp && static_cast<Wide>(*warp) <= apart.hi,
           fmt::format("Linux measured {}, the CPUs are {} apart at most", warp.value_or(0),
                       static_cast<std::int64_t>(apart.hi)));
      return;
    }
    check_compensation(event, apart, unstable != nullptr);
  }

  static std::string text_of(const LogLine* line) { return line != nullptr ? line->text : ""; }

  // The value that the kernel adjusted to is what the jump left in TSC_ADJUST plus all that it has measured.
  void check_compensation(std::size_t event, WideRange apart, bool failed) {
    std::vector<Wide> warps, adjusts;
    for (const LogLine& line : log_) {
      const auto warp = number_after(line.text, "observed ");
      const std::size_t at = line.text.find("Adjust: ");
      if (!warp || at == std::string::npos) continue;
      const auto adjusted = signed_number_at(line.text, at + 8);
      if (!adjusted) continue;  // a damaged line
      warps.push_back(static_cast<Wide>(*warp));
      adjusts.push_back(*adjusted);
    }
    tell(event, "compensated", !warps.empty(), "the model corrects TSC_ADJUST, Linux did not");
    if (warps.empty()) return;
    const Wide left = adjusts.front() - warps.front();  // by the jump
    tell(event, "jump in TSC_ADJUST", -apart.hi <= left && left <= -apart.lo,
         fmt::format("Linux says {}, the jump was by {} to {}", static_cast<std::int64_t>(left),
                     static_cast<std::int64_t>(-apart.hi), static_cast<std::int64_t>(-apart.lo)));
    for (std::size_t i = 1; i < warps.size(); ++i)
      tell(event, "next adjustment", adjusts[i] - adjusts[i - 1] == warps[i],
           fmt::format("Linux adjusted by {} after a warp of {}",
                       static_cast<std::int64_t>(adjusts[i] - adjusts[i - 1]), static_cast<std::int64_t>(warps[i])));
    // What is left is the hand-over of the run before; whether the next run sees it depends on its own.
    constexpr std::size_t kCorrections = 2;
    if (failed) {
      tell(event, "test failed", warps.size() == kCorrections,
           fmt::format("after {} corrections, the model after {}", warps.size(), kCorrections));
      tell(event, "last warp", number_after(text_of(logged("TSC warp between CPUs")), "Measured ").value_or(0) > 0,
           "Linux does not say what it measured");
      return;
    }
    tell(event, "test failed", warps.size() <= kCorrections, fmt::format("{} corrections", warps.size()));
  }

  // The detector's next run after a jump reports, unless the CPU has come out of idle since the run before.
  void check_lockup() {
    const LogLine* line = logged("BUG: soft lockup");
    bool busy = false;
    for (const ops::LinuxStep& step : header_.experiment.steps) {
      if (step.action == LinuxAction::jump_tsc) break;
      if (step.action == LinuxAction::sample)
        busy = !step.sleeps && step.count * step.ns > 2 * static_cast<std::int64_t>(guest::kLockupPeriod_ns);
    }
    const Wide jump_ns = moved().lo * 1'000'000 / header_.tsc_khz;
    const auto stuck_for = [&](std::uint64_t since_ns) {
      return jump_ns < 0 ? guest::LockupReport{}
                         : guest::soft_lockup(0, static_cast<std::uint64_t>(jump_ns) + since_ns);
    };
    const guest::LockupReport least = stuck_for(0), most = stuck_for(2 * guest::kLockupPeriod_ns);
    const std::size_t event = line != nullptr ? line->event : moves_.front();
    if (!busy || !most.stuck)
      return tell(event, "soft lockup", line == nullptr, "Linux reported one, the model does not");
    if (!least.stuck) return undecided(event, "soft lockup", "it depends on when the detector came");
    const auto printed = number_after(text_of(line), "stuck for ");
    tell(event, "soft lockup", printed && least.seconds <= *printed && *printed <= most.seconds,
         fmt::format("Linux printed {}, the model {} to {}", printed.value_or(0), least.seconds, most.seconds));
  }

  static ops::Range pm_timer_of(const ops::LinuxEvent& event) {
    if (const auto* done = std::get_if<ops::LinuxDone>(&event)) return done->pm_timer;
    if (const auto* sample = std::get_if<ops::LinuxSample>(&event)) return sample->pm_timer;
    return {};
  }

  // The CPU was busy when the TSC moved, so that a tick came and accounted for itself, however long the clock says it took: what
  // went by for the CPU is at most what went by outside.
  void check_cpu_time() {
    std::size_t first = 0;
    while (std::get_if<ops::LinuxLook>(&recording_.events[first]) == nullptr) ++first;
    constexpr std::uint64_t kHundredth_ns = 10'000'000;
    const auto& earlier = std::get<ops::LinuxLook>(recording_.events[first]).stat;
    const auto& later = std::get<ops::LinuxLook>(recording_.events[last_look_]).stat;
    const std::int64_t wait_ns = header_.experiment.steps.at(header_.experiment.steps.size() - 2).ns;
    // Each part is cut to hundredths; the last sample is followed by a wait, which may be as long again.
    const Wide most =
        elapsed_ns(pm_timer_of(recording_.events[first - 1]), pm_timer_of(recording_.events[last_look_ - 1])).hi +
        2 * wait_ns + static_cast<Wide>(std::tuple_size_v<ops::LinuxCpuTime> * kHundredth_ns + header_.tick_ns);
    for (const auto& [cpu, time] : earlier) {
      const auto found = later.find(cpu);
      if (found == later.end()) continue;
      Wide accounted = 0;
      for (std::size_t i = 0; i < time.size(); ++i)
        accounted += (static_cast<Wide>(found->second[i]) - static_cast<Wide>(time[i])) * kHundredth_ns;
      tell(last_look_, cpu + " time", 0 <= accounted && accounted <= most,
           fmt::format("Linux accounted for {} ns, of at most {}", static_cast<std::int64_t>(accounted),
                       static_cast<std::int64_t>(most)));
    }
  }

  void check_clocksource() {
    const bool unstable = logged(kUnstable) != nullptr;
    const std::string expected = !unstable ? "tsc" : header_.experiment.machine.hpet ? "hpet" : "acpi_pm";
    tell(last_look_, "clocksource", clocksource_ == expected,
         fmt::format("Linux uses {}, the model {}", clocksource_, expected));
  }

  // The model's own kernel on a machine whose TSC was moved likewise.
  void check_replay() {
    using ops::GuestEventKind;
    const LinuxReplay replay = replay_linux(recording_, era_);
    const bool on_tsc = clocksource_ == "tsc";
    // Whether a corrected CPU passes hangs on some cycles between two hand-overs (check_compensation()).
    const bool by_a_hair = came_online() && flag("tsc_adjust") && !siblings();
    const auto compare = [&](GuestEventKind kind, const char* what, bool seen) {
      const bool predicted = replay.events.count(kind) != 0;
      if (by_a_hair && seen != predicted && kind != GuestEventKind::tsc_adjusted)
        return undecided(last_look_, what, "it hangs on some cycles");
      tell(last_look_, std::string("replay: ") + what, seen == predicted,
           fmt::format("Linux {}, the model {}", seen ? "yes" : "no", predicted ? "yes" : "no"));
    };
    compare(GuestEventKind::tsc_marked_unstable, "TSC marked unstable", logged(kUnstable) != nullptr);
    compare(GuestEventKind::watchdog_unstable, "condemned by the watchdog",
            logged("due to clocksource watchdog") != nullptr && logged("inter CPU skew") == nullptr);
    compare(GuestEventKind::watchdog_skipped, "interval passed over", logged(kSkipped) != nullptr);
    compare(GuestEventKind::tsc_warp, "warp between CPUs", logged("TSC warp between CPUs") != nullptr);
    compare(GuestEventKind::tsc_adjusted, "TSC_ADJUST corrected at bring-up",
            logged("TSC ADJUST compensate") != nullptr || logged("differs within socket(s)") != nullptr);
    compare(GuestEventKind::tsc_adjust_restored, "TSC_ADJUST restored", logged("Restoring") != nullptr);
    // The model's CPUs are never idle, so its detector reports where a real one was touched by the end of an idle spell.
    if (logged("soft lockup") != nullptr) compare(GuestEventKind::soft_lockup, "soft lockup", true);
    if (by_a_hair) return;
    tell(last_look_, "replay: clocksource", replay.tsc_in_use == on_tsc,
         fmt::format("Linux uses {}, the model {}the TSC", clocksource_, replay.tsc_in_use ? "" : "not "));
    check_movement(replay.moved_ns);
  }

  // From the first sample to the last: within the two brackets, what the jump is not known by, a kHz of the
  // rate, and a tick, which is what a clock that is set back gives up.
  void check_movement(std::int64_t moved_ns) {
    const ops::LinuxSample *first = nullptr, *last = nullptr;
    for (const ops::LinuxEvent& event : recording_.events) {
      const auto* sample = std::get_if<ops::LinuxSample>(&event);
      if (sample == nullptr || sample->cpu != 0) continue;
      if (first == nullptr) first = sample;
      last = sample;
    }
    const WideRange width =
        elapsed_ns({0, first->pm_timer.hi - first->pm_timer.lo}, {0, last->pm_timer.hi - last->pm_timer.lo});
    const std::size_t monotonic = 5;
    const Wide real = static_cast<Wide>(last->clocks[monotonic].ns) - static_cast<Wide>(first->clocks[monotonic].ns);
    const Wide elapsed = elapsed_ns(first->pm_timer, last->pm_timer).hi;
    const Wide unsure = std::max(width.hi, -width.lo) + (moved().hi - moved().lo) * 1'000'000 / header_.tsc_khz +
                        elapsed / header_.tsc_khz + static_cast<Wide>(header_.tick_ns);
    tell(last_look_, "replay: CLOCK_MONOTONIC", moved_ns - unsure <= real && real <= moved_ns + unsure,
         fmt::format("Linux moved it by {} ns, the model by {}, give or take {}", static_cast<std::int64_t>(real),
                     moved_ns, static_cast<std::int64_t>(unsure)));
  }

  const ops::LinuxRecording& recording_;
  const ops::LinuxHeader& header_;
  const guest::GuestEra& era_;
  LinuxResult& result_;
  guest::Clocksource tsc_;
  std::vector<LogLine> log_;  // after the first look: before it, the kernel booted
  std::vector<std::size_t> moves_;
  std::size_t last_look_ = 0;
  bool looked_ = false;
  std::string clocksource_, available_;
};

}  // namespace

std::size_t LinuxResult::count(Verdict verdict) const {
  return static_cast<std::size_t>(std::count_if(observations.begin(), observations.end(),
                                                [&](const LinuxObservation& o) { return o.verdict == verdict; }));
}

LinuxResult check_linux(const ops::LinuxRecording& recording) {
  const auto version = model::KernelVersion::parse(recording.header.kernel);
  if (!version)
    throw ops::InputError(ops::Diagnostic{
        {"recording", 1, 0}, fmt::format("'{}' is no kernel version", recording.header.kernel), "", "", 1});
  const guest::GuestEra era = guest::guest_era_for(*version);
  LinuxResult result;
  LinuxClocks clocks(recording, era, result);
  for (std::size_t i = 0; i < recording.events.size(); ++i) {
    if (const auto* done = std::get_if<ops::LinuxDone>(&recording.events[i])) clocks.take(i, *done);
    if (const auto* sample = std::get_if<ops::LinuxSample>(&recording.events[i])) clocks.take(i, *sample);
  }
  Outcomes(recording, era, result).check();
  return result;
}

}  // namespace tscsim::crosscheck
