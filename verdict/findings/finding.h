// What a checker can name about a list of operations that touch a guest's clocks: one identifier for each known mistake,
// with what it means, what it does and how it is mended. The families, one file each, hold the conditions; registry.cpp
// has the table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verdict/measure.h"

namespace tscsim::verdict {

enum class Level : std::uint8_t { note, warning, error };
std::string_view name_of(Level level);

// From which size on something is a finding; the defaults are docs/spec/vmm-procedures.md 3's.
struct Thresholds {
  Wide discarded_ns = 1'000'000;       // written-value-discarded: |in force - written|
  Wide before_entry_ns = 100'000'000;  // tsc-before-long-step: P3 to R; QEMU is said to take 100 ms
  Wide split_ns = 10'000'000;          // clock-tsc-split: |E3|
  Wide realtime_ns = 1'000'000;        // realtime-unsynchronised: |e_d - e_s|
  Wide stop_ns = 10'000'000'000;       // ctrl-missing: the guest's watchdog looks every 4 s and warns after 20 s
  Wide overdue_ns = 1'000'000'000;     // overdue-timers: how late a TSC deadline is
};

// All that a condition may look at.
struct Case {
  const Course& course;
  std::vector<Decision> decisions;
  std::vector<Disturbance> disturbances;
  std::vector<Measure> measures;  // of each disturbance
  Thresholds thresholds;
};
Case examine(const Course& course, const Thresholds& thresholds = {});

struct FindingInfo;

struct Finding {
  const FindingInfo* info = nullptr;
  Level level{};
  std::size_t moment = 0;  // where it happens
  std::vector<std::int32_t> vcpus;
  std::string message;
};

// What the input cannot tell: no finding, and not clean either.
struct Undecided {
  const FindingInfo* info = nullptr;
  std::string why;
};

class Sink {
 public:
  explicit Sink(const FindingInfo& info) : info_(info) {}
  void add(std::size_t moment, std::vector<std::int32_t> vcpus, std::string message);
  void add(Level level, std::size_t moment, std::vector<std::int32_t> vcpus, std::string message);
  void undecided(std::string why);

  std::vector<Finding> findings;
  std::vector<Undecided> open;

 private:
  const FindingInfo& info_;
};

using Look = void (*)(const Case&, Sink&);

struct FindingInfo {
  std::string_view id;
  Level level{};
  std::string_view explanation;  // the condition, in one sentence
  std::string_view consequence;
  std::string_view cure;
  std::string_view source;  // section of docs/spec/vmm-procedures.md
  std::string_view seen_in;
  Look look = nullptr;
};

// In the order of docs/spec/vmm-procedures.md 14.
const std::vector<FindingInfo>& all_findings();
const FindingInfo* find_finding(std::string_view id);

}  // namespace tscsim::verdict
