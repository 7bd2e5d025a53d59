// tscsim guest-pauses: how long a VM may be paused before its guest's time breaks, found by bisection on the model. The table in
// docs/guest.md is its output.
#include <fmt/format.h>

#include <array>
#include <iostream>
#include <optional>

#include "cli/commands.h"
#include "cli/session.h"
#include "cli/text.h"
#include "model/world/simulation.h"

namespace tscsim::cli {
namespace {

using ops::OpKind;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kLongest_s = 100'000;
constexpr std::int64_t kAlarm_s = 500;  // no detector waits so long, and no read overflows yet

enum class Stopped : std::uint8_t { nothing, kvmclock, both };
constexpr std::array<std::string_view, 3> kStopped{"nothing stopped", "kvmclock stopped", "both stopped"};

struct Case {
  ops::GuestSpec guest;
  Stopped stopped{};
};

struct Outcome {
  bool time_holds = false;
  bool quiet = true;
};

// One pause on the model.
class Pause {
 public:
  explicit Pause(const Case& of) : case_(of), executor_(model::simulate({ops::HostSpec{}}, "")) {}

  Outcome run(std::int64_t pause_s) {
    execute(OpKind::create_vm, ops::kVm, 0);
    execute(OpKind::create_vcpu, 0, 0);
    execute(OpKind::boot_guest, ops::kVm, 0);
    const std::int64_t stop = 5 * kSecond, go = stop + pause_s * kSecond;
    const std::int64_t before = read(stop);
    execute(OpKind::pause_vm, ops::kVm, stop);
    const std::uint64_t tsc = *execute(OpKind::get_msr, 0, stop).outcome.find(ops::Field::value);
    const std::uint64_t clock = *execute(OpKind::get_clock, ops::kVm, stop).outcome.find(ops::Field::clock);
    if (case_.stopped == Stopped::both) execute(OpKind::set_msr, 0, go, tsc);
    if (case_.stopped != Stopped::nothing) {
      execute(OpKind::set_clock, ops::kVm, go, clock);
      execute(OpKind::kvmclock_ctrl, 0, go);
    }
    execute(OpKind::resume_vm, ops::kVm, go);
    quiet_ = true;  // what comes from here on comes of the pause
    const std::int64_t first = read(go), later = read(go + 5 * kSecond);
    // Nothing but the time that was counted may lie between, and it must lie there at once.
    return {
        first >= before && later - first >= 5 * kSecond - kTolerance_ns && later - first <= 5 * kSecond + kTolerance_ns,
        quiet_};
  }

 private:
  static constexpr std::int64_t kTolerance_ns =
      1'000'000;  // a kHz that the guest's rate may be off makes 2 us in five seconds

  ops::Entry execute(OpKind kind, int vcpu, std::int64_t at_ns, std::uint64_t value = 0) {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.at_ns = at_ns;
    op.value = value;
    if (kind == OpKind::get_msr || kind == OpKind::set_msr) op.msr = ops::msr::kIa32Tsc;
    if (kind == OpKind::boot_guest) op.guest = case_.guest;
    ops::Entry entry = executor_->execute(op);
    for (const ops::GuestEvent& event : entry.guest)
      if (event.kind != ops::GuestEventKind::stop_flag_consumed &&
          event.kind != ops::GuestEventKind::watchdog_disarmed && event.kind != ops::GuestEventKind::watchdog_skipped &&
          event.kind != ops::GuestEventKind::clocksource_switched)
        quiet_ = false;
    return entry;
  }
  std::int64_t read(std::int64_t at_ns) {
    return static_cast<std::int64_t>(*execute(OpKind::read_clock, 0, at_ns).outcome.find(ops::Field::ns));
  }

  const Case& case_;
  std::unique_ptr<ops::Executor> executor_;
  bool quiet_ = true;
};

// The longest pause up to which `good` holds, where it does not at `hi`.
template <class Good>
std::string longest(const Case& of, std::int64_t hi, Good good) {
  const auto holds = [&](std::int64_t pause_s) { return good(Pause(of).run(pause_s)); };
  if (holds(hi)) return fmt::format("> {}", hi);
  std::int64_t lo = 0;
  while (hi - lo > 1) {
    const std::int64_t middle = lo + (hi - lo) / 2;
    (holds(middle) ? lo : hi) = middle;
  }
  return std::to_string(lo);
}

// A watchdog may pass over what it condemned when it was shorter, so the first pauses are tried one by one.
std::string longest_quiet(const Case& of) {
  constexpr std::int64_t kOneByOne_s = 40;
  const auto quiet = [](const Outcome& outcome) { return outcome.quiet; };
  for (std::int64_t pause_s = 1; pause_s <= kOneByOne_s; ++pause_s)
    if (!quiet(Pause(of).run(pause_s))) return std::to_string(pause_s - 1);
  return longest(of, kAlarm_s, quiet);
}

struct Row {
  std::string kernel, clocksource;
  std::array<std::string, 6> cells;
};

Row row_for(std::uint16_t major, std::uint16_t minor, ops::GuestClocksource clocksource) {
  Case of;
  of.guest.major = major;
  of.guest.minor = minor;
  of.guest.clocksource = clocksource;
  of.guest.invtsc = clocksource == ops::GuestClocksource::tsc;
  if (clocksource == ops::GuestClocksource::tsc) of.guest.tsc = ops::TscOption::reliable;
  Row row{fmt::format("{}.{}", major, minor), std::string(ops::name_of(clocksource)), {}};
  for (std::size_t i = 0; i < kStopped.size(); ++i) {
    of.stopped = static_cast<Stopped>(i);
    row.cells[2 * i] = longest(of, kLongest_s, [](const Outcome& o) { return o.time_holds; });
    row.cells[2 * i + 1] = longest_quiet(of);
  }
  return row;
}

std::vector<Row> table() {
  constexpr std::array<std::pair<std::uint16_t, std::uint16_t>, 10> kKernels{
      {{3, 10}, {4, 4}, {4, 19}, {5, 10}, {5, 15}, {6, 1}, {6, 8}, {6, 12}, {7, 1}, {7, 3}}};
  std::vector<Row> rows;
  for (const auto clocksource : {ops::GuestClocksource::kvm_clock, ops::GuestClocksource::tsc})
    for (const auto& [major, minor] : kKernels) rows.push_back(row_for(major, minor, clocksource));
  return rows;
}

int run(const Arguments& arguments) {
  const std::vector<Row> rows = table();
  if (arguments.json()) {
    Json list = Json::array();
    for (const Row& row : rows) {
      Json json = {{"kernel", row.kernel}, {"clocksource", row.clocksource}};
      for (std::size_t i = 0; i < kStopped.size(); ++i)
        json[std::string(kStopped[i])] = {{"time_holds", row.cells[2 * i]}, {"detectors_quiet", row.cells[2 * i + 1]}};
      list.push_back(json);
    }
    print({{"command", "guest-pauses"}, {"summary", {{"rows", rows.size()}}}, {"pauses", list}});
    return kAllHeld;
  }
  std::cout << "| guest | clocksource |";
  for (const std::string_view stopped : kStopped) std::cout << fmt::format(" {}: time | detectors |", stopped);
  std::cout << "\n|---|---|---|---|---|---|---|---|\n";
  for (const Row& row : rows)
    std::cout << fmt::format("| {} | {} | {} |\n", row.kernel, row.clocksource, fmt::join(row.cells, " | "));
  return kAllHeld;
}

}  // namespace

Command guest_pauses_command() {
  return {"guest-pauses",
          "",
          "how long a VM may be paused before the time of its Linux guest breaks, by kernel and clocksource (model)",
          "tscsim guest-pauses",
          [](OptionList&) {},
          run};
}

}  // namespace tscsim::cli
