// What must fit together in a recording before anything runs on it. Its syntax is the reader's business (ops/recording.cpp);
// here are the relations: hosts and VMs exist, vCPUs are created in order, operations have the operands and results of their
// kind, times do not go back. Recordings come from other people's machines, and whoever takes one uses its numbers as indices.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "ops/error.h"
#include "ops/linux_recording.h"
#include "ops/recording.h"

namespace tscsim::ops {

// So many faults of one recording are told; a last line counts the others.
inline constexpr std::size_t kMostFaults = 20;

// The lines of a recording in its file, counted from 1. Empty: they are not known.
struct RecordingLines {
  int header = 0;
  std::vector<int> entries;  // one for each, in order
};

// What operations of this kind return when they succeed, in this order.
std::vector<Field> outcome_fields(OpKind kind);

// One diagnostic for each fault, in the order of the lines: found, expected, mend. Empty: the recording may be used.
// An imported log (is_observed) says less: its hosts' rates may be unknown, and its VMs are as old as they are.
std::vector<Diagnostic> faults_of(const Recording& recording, const std::string& file, const RecordingLines& lines);

// The same for a recording of Linux itself.
std::vector<Diagnostic> faults_of(const LinuxRecording& recording, const std::string& file,
                                  const RecordingLines& lines);

// As the readers of recordings, by their syntax alone: for tests of the format, which write what no KVM does.
Recording read_unchecked(std::istream& in, const std::string& name);
LinuxRecording read_linux_unchecked(std::istream& in, const std::string& name);

}  // namespace tscsim::ops
