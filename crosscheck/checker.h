// The cross-check by witness: does the model derive every value that the recording's KVM returned?
//
// The model's machine is driven with the recording's operations. Each reading of the host's clocks that KVM makes
// inside an operation is an unknown between the brackets measured around it; each returned value is compared with
// what the machine derives, and pins the unknowns it depends on. Where a comparison inside the machine cannot be
// decided from the brackets, or KVM does something later on its own (delayed work), the checker follows every
// possibility; those that contradict an observation are dropped. It is a mismatch when none is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/recording.h"

namespace tscsim::crosscheck {

enum class Verdict : std::uint8_t {
  exact,        // the model derives exactly the observed value
  bracketed,    // the observed value lies in the interval that the brackets allow
  undecided,    // the model could have taken either branch, and nothing observed tells which
  mismatch,     // KVM returned what the model forbids
  unsupported,  // the target could not execute the operation
};
inline constexpr std::size_t kVerdicts = 5;
std::string_view name_of(Verdict verdict);

struct Observation {
  std::size_t entry = 0;  // index in the recording
  std::string what;       // the field's name, "error", or the open question
  Verdict verdict{};
  std::uint64_t observed = 0;
  std::uint64_t lo = 0;  // what the model derives: lo..hi, which may pass 2^64; meaningful for values
  std::uint64_t hi = 0;
};

// What a question that nothing decided was answered with.
struct Answer {
  std::size_t entry = 0;
  std::string question;
  bool answer = false;
};

// What the guest of somebody else's VMM must have written, or may have: no operation of the recording says so.
struct InferredWrite {
  std::size_t run =
      0;  // the KVM_RUN in which it was done; in other histories that explain the recording it may be another
  std::int32_t host = 0;
  std::int32_t vcpu = 0;
  std::uint32_t msr = 0;
  std::uint64_t value = 0;
  std::size_t told = 0;  // the entry that shows it
};

struct Mismatch {
  std::size_t entry = 0;
  std::string explanation;  // several lines: operation, both values, rule and why, where docs/spec/ says so
};

struct Result {
  std::vector<Observation> observations;
  std::vector<Mismatch> mismatches;   // at most one: after it the state is not known
  std::size_t unchecked_entries = 0;  // those after a mismatch, or from one on that has too many histories
  // Of a history that explains the recording, or most of it: in which order its entries came, and the answers.
  std::vector<std::size_t> order;
  std::vector<Answer> answers;
  std::vector<InferredWrite> inferred;  // by that history
  std::size_t count(Verdict verdict) const;
};

// How many histories of one operation are followed: `histories`, and `each` for every history that came to it. One with more
// is undecided, and what comes after it is not compared.
struct Limits {
  std::size_t histories = 2048;
  std::size_t each = 4;
};

// Throws ops::InputError when the recording's kernel or heuristic is not known to the model, or when it was made from
// outside: without operands and brackets there is nothing to derive a value from.
Result check(const ops::Recording& recording, const Limits& limits = {});

}  // namespace tscsim::crosscheck
