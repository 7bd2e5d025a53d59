// A state over unknowns as text, so that states of different spaces can be compared.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "witness/witness.h"

namespace tscsim::witness {

// Spells the witnesses of one state one after the other, then what the space knows of the unknowns in them. Two states
// whose texts are equal, the knowledge included, are equal but for the names of their unknowns, and so is all that follows.
//
// Unknowns are numbered as they come. Those that are in no witness matter only as far as they bind others; one that binds
// a single other to what is known of that anyhow is left out.
class Spelling {
 public:
  // The space must outlive the spelling, and not change meanwhile.
  explicit Spelling(const WitnessSpace& space) : space_(space) {}

  std::string of(const Witness& x);
  std::string knowledge();

 private:
  // A constraint, or a relation result = f(argument).
  struct Link {
    Witness expression;  // the constraint's, or the relation's result
    Witness argument;    // of a relation
    std::uint64_t lo = 0;
    std::uint64_t hi = 0;
    const WitnessSpace::Relation* relation = nullptr;
    std::set<std::uint32_t> unknowns;
  };
  std::vector<Link> links() const;
  void add_unknowns(Link& link, const Witness& x) const;
  std::vector<Link> without_idle(std::vector<Link> links) const;
  bool idle(const Link& link, const std::map<std::uint32_t, int>& uses) const;
  bool binds_nothing(const Link& link, std::uint32_t leaf) const;
  bool result_binds_nothing(const Link& link, std::uint32_t leaf) const;
  std::string text_of(const Link& link);
  std::string text_of(const Witness& canonical);
  std::uint32_t number_of(std::uint32_t unknown);

  const WitnessSpace& space_;
  std::map<std::uint32_t, std::uint32_t> numbers_;  // of the unknowns so far
  std::vector<std::uint32_t> in_order_;
};

}  // namespace tscsim::witness
