// A VMM's procedure as data: which calls it makes to pause, restore, migrate ... a VM, in which order, and how far apart.
// A file of scenarios/procedures/ holds one; a line of a timeline uses it (`migrate: {with: qemu/migrate, ...}`), and the
// parser writes it out into steps before anything runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {

// What a procedure is for. One can be put in the place of another of its kind.
enum class ProcedureKind : std::uint8_t { start, pause, reset, snapshot, restore, migrate, hotplug };

std::string_view name_of(ProcedureKind kind);
std::optional<ProcedureKind> procedure_kind_from(std::string_view word);

// Something that differs from one use to the next: a gap, a rate, a number.
struct ProcedureParameter {
  enum class Counts : std::uint8_t { time, rate, number };
  std::string name;
  Counts counts{};
  std::string value;   // the default, as it is written: "300 ms"
  std::string means;   // one sentence
  std::string origin;  // of the default; may be empty
};

struct Procedure {
  std::string name;  // "qemu/migrate": folder and stem
  std::string title;
  ProcedureKind kind{};
  std::string versions;  // of the VMM, "2.9 to 4.1"
  std::string facts;     // date of the facts, "2025-08"
  std::vector<std::string> sources;
  std::string story;
  std::vector<std::string> of;  // procedures whose captures it reads; the line that uses it names that use
  std::vector<ProcedureParameter> parameters;
  std::vector<YamlNode> steps;
  std::string file, text;  // for places and messages
  std::string steps_text;  // as the author wrote them

  const ProcedureParameter* find(const std::string& parameter) const;
};

// Throws ops::InputError that holds every fault found. What can be wrong only where it is used (a vCPU that does not
// exist, times in the wrong order) is found there.
Procedure parse_procedure(std::string_view text, const std::string& file, const std::string& name);

// Keys of a step besides the words, as the parser and the JSON Schema know them.
std::vector<std::string> procedure_step_keys();

}  // namespace tscsim::scenarios
