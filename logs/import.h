// What others recorded, as recordings: one for each VM. They hold what the log shows and no more; see ops::Entry on
// `observed`.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "logs/log_text.h"
#include "ops/recording.h"

namespace tscsim::logs {

struct ImportOptions {
  std::uint32_t host_khz = 0;  // of its TSC; 0: from the kvmclock pages, where there are any
};

// Where an entry of a recording comes from: its note is "LINE TASK-PID".
struct ImportedVm {
  ops::Recording recording;
  std::string title;  // "VM 2: init-1, created at line 34"
};

struct Import {
  std::vector<ImportedVm> vms;
  std::vector<std::string> facts;  // what the log holds besides
  std::vector<std::string> assumptions;
  Problems problems;              // lines that were left out
  std::uint64_t lost_events = 0;  // at least
  bool partial() const { return problems.count != 0 || lost_events != 0; }
};

// The text of tracefs' `trace`, of trace-cmd report or of perf script; `source` is "ftrace" or "perf". Throws
// ops::InputError when nothing of it can be used.
Import import_trace(std::istream& in, const std::string& name, const std::string& source, const ImportOptions& options);

// A log of strace -f. Throws likewise.
Import import_strace(std::istream& in, const std::string& name, const ImportOptions& options);

// The rate in kHz of a guest TSC that a kvmclock page converts, to the nearest; 0 when it converts nothing.
std::uint32_t khz_of_page(std::uint64_t mul, std::int64_t shift);

}  // namespace tscsim::logs
