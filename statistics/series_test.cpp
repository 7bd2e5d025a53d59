#include "statistics/series.h"

#include <gtest/gtest.h>

namespace tscsim::statistics {
namespace {

using ops::Field;
using ops::OpKind;

ops::Entry reading(OpKind kind, int vcpu, std::int64_t at_ns, Field field, std::uint64_t value) {
  ops::Entry entry;
  entry.op.kind = kind;
  entry.op.vcpu = vcpu;
  entry.op.at_ns = at_ns;
  entry.bracket.base_ns = {static_cast<std::uint64_t>(1000 + at_ns), static_cast<std::uint64_t>(1020 + at_ns)};
  entry.outcome.add(field, value);
  return entry;
}

TEST(SeriesOf, SortsReadingsByClockAndVcpu) {
  ops::Recording recording;
  recording.header.zero_base_ns = 1000;
  recording.entries = {reading(OpKind::rdtsc, 1, 0, Field::value, 7),
                       reading(OpKind::read_pvclock, 0, 5, Field::ns, 50),
                       reading(OpKind::rdtsc, 0, 10, Field::value, 8), reading(OpKind::rdtsc, 1, 20, Field::value, 9)};
  recording.entries.push_back(reading(OpKind::rdtsc, 1, 30, Field::value, 10));
  recording.entries.back().op.probe = true;
  recording.entries.push_back(reading(OpKind::rdtsc, 1, 40, Field::value, 11));
  recording.entries.back().supported = false;
  const std::vector<Series> all = series_of(recording);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].clock, "kvmclock");
  EXPECT_EQ(all[1].clock, "tsc");
  EXPECT_EQ(all[1].vcpu, 0);
  ASSERT_EQ(all[2].readings.size(), 2u);
  EXPECT_EQ(all[2].readings[1].value, 9u);
  EXPECT_EQ(all[2].readings[1].taken_ns, 30) << "the middle of the bracket";
}

}  // namespace
}  // namespace tscsim::statistics
