#include "sweep/aggregate.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

namespace tscsim::sweep {
namespace {

constexpr int kExact = 64;  // and buckets to a power of two
constexpr int kExactBits = 6;

std::uint64_t magnitude(std::int64_t value) {
  return value < 0 ? -static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
}

bool worse(const WorstRun& a, const WorstRun& b) {
  return magnitude(a.value) != magnitude(b.value) ? magnitude(a.value) > magnitude(b.value) : a.run < b.run;
}

void join(FateCount& into, const FateCount& other) {
  if (into.runs == 0 || (other.runs != 0 && other.first < into.first)) {
    into.first = other.first;
    into.example = other.example;
  }
  into.runs += other.runs;
}

}  // namespace

int bucket_of(std::int64_t value) {
  const std::uint64_t size = magnitude(value);
  int number = static_cast<int>(size);
  if (size >= kExact) {
    const int above = static_cast<int>(std::bit_width(size)) - 1 - kExactBits;
    number = kExact * (above + 1) + static_cast<int>((size >> above) - kExact);
  }
  return value < 0 ? -number : number;
}

Bucket bucket(int number) {
  const int size = number < 0 ? -number : number;
  std::uint64_t low = static_cast<std::uint64_t>(size), high = low;
  if (size >= kExact) {
    const int above = size / kExact - 1;
    low = (static_cast<std::uint64_t>(size % kExact) + kExact) << above;
    high = low + (std::uint64_t{1} << above) - 1;
  }
  if (number < 0)
    return {static_cast<std::int64_t>(-std::min(high, std::uint64_t{1} << 63)), static_cast<std::int64_t>(-low)};
  return {static_cast<std::int64_t>(low), static_cast<std::int64_t>(std::min<std::uint64_t>(high, INT64_MAX))};
}

void QuantityAggregate::keep(WorstRun one) {
  if (worst.size() == keep_ && (keep_ == 0 || !worse(one, worst.back()))) return;
  worst.insert(std::upper_bound(worst.begin(), worst.end(), one, worse), one);
  if (worst.size() > keep_) worst.pop_back();
}

void QuantityAggregate::add(const Seen& seen, std::uint64_t run) {
  if (!seen) {
    ++without;
    return;
  }
  if (*seen < INT64_MIN || *seen > INT64_MAX) {
    ++outside;
    return;
  }
  const auto value = static_cast<std::int64_t>(*seen);
  ++runs;
  least = std::min(least, value);
  greatest = std::max(greatest, value);
  sum += value;
  ++histogram[bucket_of(value)];
  keep({value, run});
}

void QuantityAggregate::add(const QuantityAggregate& other) {
  runs += other.runs;
  without += other.without;
  outside += other.outside;
  least = std::min(least, other.least);
  greatest = std::max(greatest, other.greatest);
  sum += other.sum;
  for (const auto& [number, count] : other.histogram) histogram[number] += count;
  for (const WorstRun& one : other.worst) keep(one);
}

std::optional<Bucket> QuantityAggregate::percentile(std::uint32_t share_ppm) const {
  if (runs == 0) return std::nullopt;
  const auto wanted = static_cast<std::uint64_t>((static_cast<ops::Wide>(runs) * share_ppm + 999'999) / 1'000'000);
  std::uint64_t below = 0;
  for (const auto& [number, count] : histogram)
    if ((below += count) >= std::max<std::uint64_t>(wanted, 1)) {
      const Bucket found = bucket(number);
      return Bucket{std::max(found.low, least), std::min(found.high, greatest)};
    }
  return Bucket{greatest, greatest};
}

void Aggregate::add(const RunResult& result, std::uint64_t run) {
  join(fates[result.fate], {1, run, result.trouble});
  for (std::size_t i = 0; i < of.size(); ++i) of[i].add(result.seen[i], run);
}

void Aggregate::add(const Aggregate& other) {
  for (const auto& [fate, count] : other.fates) join(fates[fate], count);
  for (std::size_t i = 0; i < of.size(); ++i) of[i].add(other.of[i]);
}

// ---- bytes ----

namespace {

using Json = nlohmann::json;

Json parts_of(ops::Wide value) { return {static_cast<std::int64_t>(value >> 64), static_cast<std::uint64_t>(value)}; }
ops::Wide wide_from(const Json& parts) {
  return static_cast<ops::Wide>(parts[0].get<std::int64_t>()) * (static_cast<ops::Wide>(1) << 64) +
         parts[1].get<std::uint64_t>();
}

Json json_of(const QuantityAggregate& one) {
  Json histogram = Json::array(), worst = Json::array();
  for (const auto& [number, count] : one.histogram) histogram.push_back({number, count});
  for (const WorstRun& run : one.worst) worst.push_back({run.value, run.run});
  return {one.runs, one.without, one.outside, one.least, one.greatest, parts_of(one.sum), histogram, worst};
}

QuantityAggregate quantity_from(const Json& json, std::size_t worst) {
  QuantityAggregate one(worst);
  one.runs = json[0];
  one.without = json[1];
  one.outside = json[2];
  one.least = json[3];
  one.greatest = json[4];
  one.sum = wide_from(json[5]);
  for (const Json& item : json[6]) one.histogram[item[0].get<int>()] = item[1];
  for (const Json& item : json[7]) one.worst.push_back({item[0], item[1]});
  return one;
}

Json json_of(const Row& row) {
  Json seen = Json::array();
  for (const Seen& value : row.seen) seen.push_back(value ? parts_of(*value) : Json());
  return {row.run, static_cast<int>(row.fate), row.drawn, seen};
}

Row row_from(const Json& json) {
  Row row{json[0], static_cast<Fate>(json[1].get<int>()), json[2], {}};
  for (const Json& value : json[3]) row.seen.push_back(value.is_null() ? std::nullopt : Seen(wide_from(value)));
  return row;
}

}  // namespace

std::string to_bytes(const Aggregate& aggregate) {
  Json of = Json::array(), fates = Json::array(), rows = Json::array();
  for (const QuantityAggregate& one : aggregate.of) of.push_back(json_of(one));
  for (const auto& [fate, count] : aggregate.fates)
    fates.push_back({static_cast<int>(fate), count.runs, count.first, count.example});
  for (const Row& row : aggregate.rows) rows.push_back(json_of(row));
  const std::vector<std::uint8_t> bytes = Json::to_msgpack({of, fates, rows});
  return {bytes.begin(), bytes.end()};
}

Aggregate aggregate_from(const std::string& bytes, std::size_t worst) {
  const Json json = Json::from_msgpack(bytes);
  Aggregate made;
  for (const Json& one : json[0]) made.of.push_back(quantity_from(one, worst));
  for (const Json& fate : json[1]) made.fates[static_cast<Fate>(fate[0].get<int>())] = {fate[1], fate[2], fate[3]};
  for (const Json& row : json[2]) made.rows.push_back(row_from(row));
  return made;
}

}  // namespace tscsim::sweep
