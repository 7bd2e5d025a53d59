#include "statistics/series.h"

#include <map>
#include <optional>
#include <utility>

#include "ops/guest.h"

namespace tscsim::statistics {
namespace {

using ops::Field;
using ops::OpKind;

struct Read {
  std::string clock;
  Field field{};
};

std::optional<Read> clock_read_by(const ops::Operation& op) {
  switch (op.kind) {
    case OpKind::rdtsc:
    case OpKind::rdtscp:
      return Read{"tsc", Field::value};
    case OpKind::read_pvclock:
      return Read{"kvmclock", Field::ns};
    case OpKind::read_clock:
      return Read{std::string(ops::name_of(static_cast<ops::GuestClock>(op.flags))), Field::value};
    default:
      return std::nullopt;
  }
}

std::int64_t taken_ns(const ops::Entry& entry, const ops::HostHeader& host) {
  const ops::Range& base = entry.bracket.base_ns;
  return static_cast<std::int64_t>(base.lo + (base.hi - base.lo) / 2 - host.zero_base_ns);
}

}  // namespace

std::vector<Series> series_of(const ops::Recording& recording) {
  std::map<std::pair<std::string, int>, Series> found;
  for (const ops::Entry& entry : recording.entries) {
    const auto read = clock_read_by(entry.op);
    if (!read || entry.op.probe || !entry.supported || entry.outcome.error != 0) continue;
    const std::uint64_t* value = entry.outcome.find(read->field);
    if (value == nullptr) continue;
    Series& series = found[{read->clock, entry.op.vcpu}];
    series.clock = read->clock;
    series.vcpu = entry.op.vcpu;
    series.readings.push_back({entry.op.at_ns, taken_ns(entry, recording.header.host(entry.op.host)), *value});
  }
  std::vector<Series> all;
  for (auto& [key, series] : found) all.push_back(std::move(series));
  return all;
}

}  // namespace tscsim::statistics
