// What is kept of many runs: counts, extremes, sums, histograms and the worst runs of each quantity. Two aggregates of different
// runs add up to that of all of them, in any order; the size does not depend on how many runs there were.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sweep/subject.h"

namespace tscsim::sweep {

// Buckets of a histogram: whole numbers to 64 either way, then 64 to each power of two (a bucket is at most 1/64 of its values wide).
struct Bucket {
  std::int64_t low = 0, high = 0;  // both included
};
int bucket_of(std::int64_t value);  // negative values have negative numbers
Bucket bucket(int number);

struct WorstRun {
  std::int64_t value = 0;
  std::uint64_t run = 0;
  friend bool operator==(const WorstRun&, const WorstRun&) = default;
};

class QuantityAggregate {
 public:
  explicit QuantityAggregate(std::size_t kept = 0) : keep_(kept) {}

  void add(const Seen& seen, std::uint64_t run);
  void add(const QuantityAggregate& other);

  std::uint64_t runs = 0;     // that had a value
  std::uint64_t without = 0;  // that had none
  std::uint64_t outside = 0;  // whose value is beyond 64 bits
  std::int64_t least = INT64_MAX, greatest = INT64_MIN;
  ops::Wide sum = 0;
  std::map<int, std::uint64_t> histogram;
  std::vector<WorstRun> worst;  // greatest absolute value first, of equal ones the earlier run

  // The bucket in which the value lies that `share` parts in a million of the runs do not exceed; by signed value.
  std::optional<Bucket> percentile(std::uint32_t share_ppm) const;

 private:
  void keep(WorstRun one);
  std::size_t keep_;
};

// A fate, or the first reason for it.
struct FateCount {
  std::uint64_t runs = 0;
  std::uint64_t first = 0;  // run
  std::string example;      // what was wrong with it
};

struct Row {
  std::uint64_t run = 0;
  Fate fate{};
  std::vector<std::int64_t> drawn;
  std::vector<Seen> seen;
};

struct Aggregate {
  explicit Aggregate(std::size_t quantities = 0, std::size_t worst = 0) : of(quantities, QuantityAggregate(worst)) {}
  void add(const RunResult& result, std::uint64_t run);
  void add(const Aggregate& other);

  std::vector<QuantityAggregate> of;  // each quantity
  std::map<Fate, FateCount> fates;
  std::vector<Row> rows;  // where they are kept; not added up
};

// As bytes, for another process.
std::string to_bytes(const Aggregate& aggregate);
Aggregate aggregate_from(const std::string& bytes, std::size_t worst);

}  // namespace tscsim::sweep
