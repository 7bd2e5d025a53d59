#include "verdict/words.h"

#include <fmt/format.h>

#include <array>

#include "ops/operation_text.h"

namespace tscsim::verdict {
namespace {

std::string unsigned_digits(Wide value) {
  std::string text;
  do {
    text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value != 0);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, "_");
  return text;
}

Wide magnitude(Wide value) { return value < 0 ? -value : value; }

// Of the value in the unit, with at most three significant digits, trailing zeros dropped.
std::string in_unit(Wide value, Wide unit) {
  int decimals = value >= 100 * unit ? 0 : value >= 10 * unit ? 1 : 2;
  Wide scale = 1;
  for (int i = 0; i < decimals; ++i) scale *= 10;
  const Wide rounded = (value * scale + unit / 2) / unit;
  std::string text = unsigned_digits(rounded / scale);
  if (decimals == 0) return text;
  std::string fraction = unsigned_digits(rounded % scale);
  fraction.insert(0, static_cast<std::size_t>(decimals) - fraction.size(), '0');
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return fraction.empty() ? text : text + "." + fraction;
}

std::string written_by(const Course& course, std::size_t moment) {
  const ops::Operation& op = course.op(moment);
  const std::string who = fmt::format("vCPU {}'s", op.vcpu);
  if (op.kind == ops::OpKind::create_vcpu) return fmt::format("the creation of vCPU {}, which writes 0", op.vcpu);
  if (op.kind == ops::OpKind::set_tsc_offset) return who + " offset";
  return fmt::format("{} {}", who, digits(Wide{op.value}));
}

std::string subject(const Course& course, const Decision& d) {
  const ops::Operation& op = course.op(d.moment);
  if (d.creation) return fmt::format("vCPU {}, newly created,", d.vcpu);
  if (d.by_offset) return fmt::format("vCPU {}'s offset {}", d.vcpu, digits(static_cast<std::int64_t>(op.value)));
  return fmt::format("vCPU {}'s value {}", d.vcpu, digits(Wide{op.value}));
}

std::uint32_t khz_of(const Course& course, const Decision& d) {
  return course.after(d.moment).vcpus[static_cast<std::size_t>(d.vcpu)].khz;
}

std::string absorbed(const Course& course, const Decision& d) {
  std::string text = fmt::format(
      "{} was absorbed: written {} after {}, {} from the value expected, inside the one-second "
      "window; ",
      subject(course, d), duration(d.since_ns), d.last ? written_by(course, *d.last) : "the last write",
      size_of(d.missed_by, khz_of(course, d)));
  if (d.in_force.least() <= 1) return text + "it is in force all the same";
  const bool ahead = d.in_force.lo > 0;
  return text + fmt::format("the vCPU reads {} {} what was written",
                            duration(ns_of(ahead ? d.in_force : Span{} - d.in_force, khz_of(course, d))),
                            ahead ? "ahead of" : "behind");
}

std::string own_generation(const Course& course, const Decision& d) {
  const std::string begins = subject(course, d) + " began a generation of its own: ";
  if (d.by_offset) return begins + "it differs from the last write's offset";
  const bool near = d.missed_by.least() < Wide{khz_of(course, d)} * 1000;
  if (near && d.first_by_user) return begins + "the first value that userspace writes always counts (6.8)";
  return begins + fmt::format("{} from the value expected {} after {}, outside the one-second window",
                              size_of(d.missed_by, khz_of(course, d)), duration(d.since_ns),
                              d.last ? written_by(course, *d.last) : "the last write");
}

}  // namespace

std::string digits(Wide value) { return (value < 0 ? "-" : "") + unsigned_digits(magnitude(value)); }

std::string duration(Wide ns) {
  struct Unit {
    Wide ns;
    const char* name;
  };
  constexpr std::array<Unit, 4> kUnits{{{1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}}};
  for (const Unit& unit : kUnits)
    if (magnitude(ns) >= unit.ns)
      return fmt::format("{}{} {}", ns < 0 ? "-" : "", in_unit(magnitude(ns), unit.ns), unit.name);
  return "0 s";
}

namespace {

// A middle says something only where the ends are near it.
bool has_a_middle(Span span) { return span.hi - span.lo <= span.least() / 4; }

std::string between(Span span, auto text) {
  if (!span.known()) return "not known";
  if (span.exact()) return text(span.lo);
  if (has_a_middle(span)) return fmt::format("{} +- {}", text(span.middle()), text((span.hi - span.lo + 1) / 2));
  return fmt::format("{} to {}", text(span.lo), text(span.hi));
}

}  // namespace

std::string duration(Span ns) {
  return between(ns, [](Wide value) { return duration(value); });
}

std::string digits(Span value) {
  return between(value, [](Wide number) { return digits(number); });
}

std::string size_of(Span cycles, std::uint32_t khz) {
  if (!cycles.known()) return "not known";
  const Span ns = ns_of(cycles, khz);
  return fmt::format("{} cycles ({})", digits(cycles), has_a_middle(cycles) ? duration(ns.middle()) : duration(ns));
}

std::string value_text(const NamedError& error, std::uint32_t khz) {
  if (error.unit == "cycles") return size_of(error.value, khz);
  if (error.unit == "ppb") {
    const Wide ppb = error.value.lo;  // exact: rates are integers
    return fmt::format("{}{} ppm", ppb < 0 ? "-" : "+", in_unit(magnitude(ppb), 1000));
  }
  return duration(error.value);
}

std::string vcpus_text(const std::vector<std::int32_t>& vcpus) {
  if (vcpus.size() == 1) return fmt::format("vCPU {}", vcpus.front());
  const bool row = static_cast<std::size_t>(vcpus.back() - vcpus.front()) + 1 == vcpus.size();
  if (row && vcpus.size() > 2) return fmt::format("vCPUs {} to {}", vcpus.front(), vcpus.back());
  return fmt::format("vCPUs {}", fmt::join(vcpus, ", "));
}

std::string place_text(const Course& course, std::size_t moment) {
  if (moment < course.places.size())
    return fmt::format("{}:{}", course.places[moment].file, course.places[moment].line);
  return fmt::format("entry {}", course.moments[moment].entry + 1);
}

std::string operation_text(const Course& course, std::size_t moment) {
  const std::string host = course.recording.header.hosts() == 1
                               ? ""
                               : " on host " + course.recording.header.host(course.op(moment).host).name;
  const Moment& m = course.moments[moment];
  if (m.guest_ran)
    return fmt::format("the guest runs on{} until {}, after {}", host, duration(m.at_ns.hi),
                       place_text(course, moment));
  return fmt::format("{}{} at {} ({})", ops::action_text(course.op(moment)), host, duration(m.at_ns.lo),
                     place_text(course, moment));
}

std::string sentence(const Course& course, const Decision& d) {
  switch (d.fate) {
    case Fate::absorbed:
      return absorbed(course, d);
    case Fate::own_generation:
      return own_generation(course, d);
    case Fate::other_rate: {
      const VmView* before = course.before(d.moment);
      return fmt::format("{} began a generation of its own: its rate is {} kHz, and that of the last write {} kHz",
                         subject(course, d), digits(khz_of(course, d)), digits(before ? before->last_khz : 0));
    }
    case Fate::zero:
      return fmt::format("{} joined the generation: 0 asks to synchronise and is no value", subject(course, d));
    case Fate::same_offset:
      return fmt::format("{} joined the generation: rate and offset are those of the last write", subject(course, d));
  }
  return {};
}

}  // namespace tscsim::verdict
